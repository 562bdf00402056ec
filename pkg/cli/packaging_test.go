package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/kelp-project/kelp/packaging"
)

func TestPackagingFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := run(t, "packaging", dir); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{
		"kelp.service": 0o644, "kelp-agent.service": 0o644, "kelp.openrc": 0o755, "kelp-killall.sh": 0o755, "kelp-uninstall.sh": 0o755,
	} {
		want, err := packaging.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want mode %s", name, info, err, mode)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "version")); err != nil || len(text) < 2 {
		t.Errorf("version: %q, %v", text, err)
	}
	for _, args := range [][]string{{"packaging"}, {"packaging", filepath.Join(dir, "missing")}} {
		if _, err := run(t, args...); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
