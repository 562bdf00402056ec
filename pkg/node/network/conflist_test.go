package network

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/kelp-project/kelp/pkg/config"
)

// containerd's watcher skips files that appear and loads the directory when
// one is written or renamed; by then it must be complete.
func TestContainerdNoticesTheConflist(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	dir := cfg.Paths().CNIConf
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Add(dir); err != nil {
		t.Fatal(err)
	}
	n := New(cfg, Inputs{NFTables: true})
	for _, node := range []Node{{prefixes("10.42.0.0/24"), 1450}, {prefixes("10.42.0.0/24"), 1400}} {
		if err := n.writeConflist(node); err != nil {
			t.Fatal(err)
		}
		heeded := false
		for !heeded {
			select {
			case e := <-w.Events:
				if e.Has(fsnotify.Write) {
					t.Errorf("containerd would load the directory at %s, before the file is complete", e)
				}
				heeded = e.Has(fsnotify.Rename)
			case <-time.After(5 * time.Second):
				t.Fatal("containerd would not notice the file")
			}
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 1 || left[0].Name() != conflistName {
			t.Errorf("the directory holds %v, %v", left, err)
		}
	}
	before, err := os.Stat(filepath.Join(dir, conflistName))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.writeConflist(Node{prefixes("10.42.0.0/24"), 1400}); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(filepath.Join(dir, conflistName)); err != nil || !os.SameFile(before, after) {
		t.Errorf("a file that is right was written again: %v", err)
	}
	// An earlier kelp let everybody read it.
	if err := os.Chmod(filepath.Join(dir, conflistName), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := n.writeConflist(Node{prefixes("10.42.0.0/24"), 1400}); err != nil {
		t.Fatal(err)
	}
	if got := modeOf(filepath.Join(dir, conflistName)); got != 0o600 {
		t.Errorf("the file's mode is %o", got)
	}
}
