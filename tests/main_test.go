//go:build e2e

package tests

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kelp-project/kelp/tests/hosts"
)

// bench is what all scenarios use: the lab, the binary, the application's
// image as an archive.
type bench struct {
	lab     *hosts.Lab
	binary  string
	image   v1.Image
	archive string
}

var (
	lab    *bench
	shared struct {
		once   sync.Once
		server *server
		err    error
		took   time.Duration // systemctl start, from nothing
	}
)

// webImage is the application's image, which reaches hosts as an archive.
const webImage = "example.test/web:1"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	b, err := openBench(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "set up the end-to-end tests:", err)
		return 1
	}
	lab = b
	defer func() {
		if dist.stop != nil {
			dist.stop()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.lab.Close(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "clean up after the end-to-end tests:", err)
			status = 1
		}
	}()
	return m.Run()
}

func openBench(ctx context.Context) (*bench, error) {
	path, err := hosts.Binary()
	if err != nil {
		return nil, err
	}
	image, err := hosts.WebImage(ctx)
	if err != nil {
		return nil, err
	}
	l, err := hosts.Open(ctx, hosts.Options{})
	if err != nil {
		return nil, err
	}
	b := &bench{lab: l, image: image, archive: filepath.Join(l.Dir, "web.tar")}
	if b.binary, err = l.Share(path); err != nil {
		return nil, err
	}
	return b, hosts.WriteArchive(b.archive, webImage, image)
}

// cluster returns the server that scenarios share, started from nothing by
// the first one that asks.
func cluster(t *testing.T) *server {
	t.Helper()
	first := false
	shared.once.Do(func() {
		first = true
		shared.server, shared.took, shared.err = startShared(context.WithoutCancel(t.Context()))
	})
	if shared.server != nil && (shared.err == nil || first) { // one dump says why it did not start
		shared.server.dumpOnFailure(t)
	}
	if shared.err != nil {
		t.Fatalf("start the shared server: %v", shared.err)
	}
	return shared.server
}

func startShared(ctx context.Context) (*server, time.Duration, error) {
	s, err := boot(ctx, hosts.Spec{Name: "main"}, "")
	if err != nil {
		return s, 0, err
	}
	if err := s.CopyIn(ctx, lab.archive, imagesDir+"/web.tar"); err != nil {
		return s, 0, err
	}
	took, err := s.StartKelp(ctx)
	return s, took, err
}
