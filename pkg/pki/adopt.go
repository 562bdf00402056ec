package pki

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// AuthorityNames are all authorities of a cluster.
var AuthorityNames = []string{ServerCA, ClientCA, RequestHeaderCA, EtcdCA}

// Authorities are the files of all of a cluster's authorities, as all its servers
// have them.
type Authorities struct {
	// Generation counts how often they were succeeded: 0 are those that a cluster
	// began with.
	Generation int             `json:"generation"`
	Pairs      map[string]Pair `json:"pairs,omitempty"` // by the authority's name
}

// generationFile notes which generation a server has; nextFile holds one that it
// is about to have.
const (
	generationFile = "generation.json"
	nextFile       = "next.json"
)

// ReadAuthorities returns those that this server has.
func ReadAuthorities(p config.Paths) (Authorities, error) {
	var a Authorities
	text, err := os.ReadFile(filepath.Join(p.TLS, generationFile))
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Authorities{}, fmt.Errorf("read which generation of authorities this server has: %w", err)
	}
	a.Pairs = map[string]Pair{}
	for _, name := range AuthorityNames {
		if a.Pairs[name], err = ReadPair(AuthorityFiles(p, name)); err != nil {
			return Authorities{}, fmt.Errorf("read authority %s: %w", name, err)
		}
	}
	return a, nil
}

// ReadPair reads an authority's two files.
func ReadPair(f Files) (p Pair, err error) {
	if p.Cert, err = os.ReadFile(f.Cert); err != nil {
		return Pair{}, err
	}
	if p.Key, err = os.ReadFile(f.Key); err != nil {
		return Pair{}, err
	}
	return p, nil
}

// Adopt makes this server's authorities those of a later generation, and issues
// its own certificates anew. It does nothing where this server has them already.
// When it is killed, the next Ensure goes on.
func (e *Engine) Adopt(ctx context.Context, next Authorities) error {
	for _, name := range AuthorityNames {
		f, err := readPair(next.Pairs[name])
		if err == nil {
			err = usable(Entry{Name: name, Files: AuthorityFiles(e.cfg.Paths(), name)}, f, e.now())
		}
		if err != nil {
			return fmt.Errorf("generation %d of the authorities: %s: %w", next.Generation, name, err)
		}
	}
	if err := e.locked(func() error { return e.begin(next) }); err != nil {
		return err
	}
	return e.Ensure(ctx)
}

// begin decides that authorities are adopted, where they are later ones.
func (e *Engine) begin(next Authorities) error {
	have, err := ReadAuthorities(e.cfg.Paths())
	if err != nil || have.Generation >= next.Generation {
		return err
	}
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the authorities: %w", err)
	}
	return atomicfile.Write(filepath.Join(e.cfg.Paths().TLS, nextFile), text, keyMode)
}

// complete ends an adoption that was begun.
func (e *Engine) complete() error {
	dir := e.cfg.Paths().TLS
	path := filepath.Join(dir, nextFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var next Authorities
	if err == nil {
		err = json.Unmarshal(text, &next)
	}
	if err != nil {
		return fmt.Errorf("go on adopting authorities: %w", err)
	}
	for _, name := range AuthorityNames {
		files := AuthorityFiles(e.cfg.Paths(), name)
		for _, f := range []struct {
			path string
			text []byte
		}{{files.Key, next.Pairs[name].Key}, {files.Cert, next.Pairs[name].Cert}} {
			if err := atomicfile.Write(f.path, f.text, keyMode); err != nil {
				return fmt.Errorf("adopt authority %s: %w", name, err)
			}
		}
	}
	next.Pairs = nil
	if text, err = json.Marshal(next); err != nil {
		return fmt.Errorf("encode the generation of the authorities: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(dir, generationFile), text, keyMode); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("end adopting authorities: %w", err)
	}
	return atomicfile.SyncDir(dir)
}
