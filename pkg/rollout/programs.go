package rollout

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
)

// programsPath is below which servers hand out programs, by their SHA-256.
const programsPath = "/v1-kelp/programs/"

// keptFor is how long a program is kept for which there is no Upgrade yet.
const keptFor = time.Hour

var sum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// programOf is where a server keeps a program that it hands out.
func programOf(cfg config.Config, sum string) string {
	return filepath.Join(cfg.Paths().Programs, sum)
}

// Programs hands out programs to the cluster's nodes. Certified returns the node
// whose certificate a request has shown, "" for everybody else.
func Programs(cfg config.Config, certified func(*http.Request) string) (pattern string, handler http.Handler) {
	return "GET " + programsPath + "{sum}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("sum")
		switch {
		case certified(r) == "":
			http.Error(w, "this is for the cluster's nodes", http.StatusUnauthorized)
		case !sum.MatchString(name):
			http.Error(w, "there is no such program", http.StatusNotFound)
		default:
			http.ServeFile(w, r, programOf(cfg, name))
		}
	})
}

// tidy removes programs that no Upgrade needs any more.
func (m *Machine) tidy(all []Upgrade) error {
	dir := m.cfg.Paths().Programs
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the programs of upgrades: %w", err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || time.Since(info.ModTime()) < keptFor ||
			slices.ContainsFunc(all, func(u Upgrade) bool { return !u.Finished() && u.Spec.SHA256 == f.Name() }) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("remove the program of an upgrade that is over: %w", err)
		}
	}
	return nil
}
