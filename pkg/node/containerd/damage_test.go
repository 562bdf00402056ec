package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/kelp-project/kelp/pkg/config"
)

// database writes what is like one of containerd's, of some tens of pages.
func database(t *testing.T, root string, options bolt.Options) (file string) {
	t.Helper()
	file = filepath.Join(root, "io.containerd.snapshotter.v1.overlayfs", "metadata.db")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(file, 0o600, &options)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("v1"))
			if err != nil {
				return err
			}
			inner, err := b.CreateBucketIfNotExists([]byte("snapshots"))
			for i := range 1000 {
				err = errors.Join(err, inner.Put(fmt.Appendf(nil, "key-%04d", i), make([]byte, 64)))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDatabasesThatAreDamagedAreSetAside(t *testing.T) {
	// zero writes zeros over one in so many pages behind the two that describe the file.
	zero := func(every int) func([]byte) []byte {
		return func(data []byte) []byte {
			size := os.Getpagesize()
			for at := 2 * size; at+size <= len(data); at += every * size {
				clear(data[at : at+size])
			}
			return data
		}
	}
	for name, c := range map[string]struct {
		damage  func([]byte) []byte
		running bool
		aside   bool
		err     string
		options bolt.Options
	}{
		"none":       {damage: func(data []byte) []byte { return data }},
		"holes":      {damage: zero(1), aside: true},
		"some holes": {damage: zero(2), aside: true},
		"holes, and free pages are not written down": {damage: zero(2), aside: true, options: bolt.Options{NoFreelistSync: true}},
		"empty":          {damage: func([]byte) []byte { return nil }, aside: true},
		"truncated":      {damage: func(data []byte) []byte { return data[:4*os.Getpagesize()] }, aside: true},
		"something else": {damage: func(data []byte) []byte { return []byte(strings.Repeat("kelp", len(data)/4)) }, aside: true},
		"containers run": {damage: zero(1), running: true, err: "kelp-killall.sh"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := config.Paths{ContainerdRoot: filepath.Join(dir, "containerd"), ContainerdDamaged: filepath.Join(dir, "damaged"), ContainerdState: t.TempDir()}
			file := database(t, p.ContainerdRoot, c.options)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data = c.damage(data)
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if c.running {
				if err := os.MkdirAll(filepath.Join(p.ContainerdState, "io.containerd.runtime.v2.task", "k8s.io", "abc"), 0o700); err != nil {
					t.Fatal(err)
				}
			}

			err = setDamagedAside(t.Context(), p)
			switch {
			case c.err == "" && err != nil:
				t.Fatal(err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), file)):
				t.Fatalf("%v does not name %s and %s", err, c.err, file)
			}
			kept := file
			if c.aside {
				kept = strings.Replace(file, p.ContainerdRoot, p.ContainerdDamaged, 1)
				if _, err := os.Stat(p.ContainerdRoot); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("containerd's directory is still there: %v", err)
				}
			}
			if after, err := os.ReadFile(kept); err != nil || string(after) != string(data) {
				t.Errorf("%s is not what it was: %v", kept, err)
			}
		})
	}
}

// A first start has no databases.
func TestNothingIsDamagedBeforeTheFirstStart(t *testing.T) {
	p := config.Paths{ContainerdRoot: filepath.Join(t.TempDir(), "containerd"), ContainerdState: t.TempDir()}
	if err := setDamagedAside(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// What the system cannot do now says nothing of the data.
func TestTooManyOpenFilesAreNoDamage(t *testing.T) {
	file := database(t, t.TempDir(), bolt.Options{})
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err := readAll(file)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EMFILE) || errors.Is(err, errDamaged) {
		t.Errorf("got %v", err)
	}
}
