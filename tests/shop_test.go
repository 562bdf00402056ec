//go:build e2e

package tests

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// shop serves what make dist makes, at an address that hosts reach, and the same
// with mistakes below it.
type shop struct {
	url, dir, version string

	mu      sync.Mutex
	fetched []string
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.fetched = append(s.fetched, r.URL.Path)
	s.mu.Unlock()
	dir, name := filepath.Split(r.URL.Path)
	switch {
	case dir == "/channels/" && name == "stable":
		fmt.Fprintln(w, s.version)
	case dir == "/damaged/" && strings.HasSuffix(name, ".sha256"):
		fmt.Fprintln(w, strings.Repeat("0123456789abcdef", 4))
	case dir == "/portal/":
		fmt.Fprintln(w, "<html>log in first</html>")
	case dir == "/", dir == "/"+s.version+"/", dir == "/damaged/":
		http.ServeFile(w, r, filepath.Join(s.dir, name))
	default:
		http.NotFound(w, r)
	}
}

// programs is how often the program itself has been fetched.
func (s *shop) programs() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range s.fetched {
		if filepath.Base(path) == "kelp-"+runtime.GOARCH {
			n++
		}
	}
	return n
}

// requests is how often something has been fetched.
func (s *shop) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fetched)
}

// dist is the shop of all tests: make dist takes a while.
var dist struct {
	once sync.Once
	shop *shop
	stop func()
	err  error
}

// openShop runs make dist, for the first test that asks, and serves what it has made
// until all tests have ended.
func openShop(t *testing.T) *shop {
	t.Helper()
	dist.once.Do(func() {
		begun := time.Now()
		dist.shop, dist.err = makeShop(context.WithoutCancel(t.Context()))
		t.Logf("make dist took %s", time.Since(begun).Round(time.Millisecond))
	})
	if dist.err != nil {
		t.Fatal(dist.err)
	}
	return dist.shop
}

func makeShop(ctx context.Context) (*shop, error) {
	s := &shop{dir: filepath.Join(lab.lab.Dir, "dist")}
	listener, err := lab.lab.Listen(ctx, "tcp", hosts.Gateway+":0")
	if err != nil {
		return nil, err
	}
	s.url = "http://" + listener.Addr().String()
	key := filepath.Join(lab.lab.Dir, "key.pem")
	for _, args := range [][]string{
		{"openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key},
		{"make", "--no-print-directory", "dist"},
		{"openssl", "ec", "-in", key, "-pubout", "-out", filepath.Join(s.dir, "key.pub")},
	} {
		command := exec.CommandContext(ctx, args[0], args[1:]...)
		command.Dir = ".."
		command.Env = append(os.Environ(), "ARCHS="+runtime.GOARCH, "DIST="+s.dir, "DIST_URL="+s.url, "SIGNING_KEY="+key)
		if out, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	version, err := os.ReadFile(filepath.Join(s.dir, "version"))
	if err != nil {
		return nil, err
	}
	s.version = strings.TrimSpace(string(version))
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	dist.stop = func() { _ = server.Close(); <-served } // it has served all that it had to
	return s, nil
}
