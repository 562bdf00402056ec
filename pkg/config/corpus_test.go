package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kelp-project/kelp/pkg/internal/golden"
)

// machine is the host of the corpus: one address per family, from the ranges
// that are reserved for documentation.
var machine = hostWith("192.0.2.10", "2001:db8::10")

// TestBadFiles loads each file of one mistake and compares the whole message
// with the `# want:` lines at its top.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	for _, path := range corpus(t, "*.bad.yaml", 30) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "# want: "); ok {
				want = append(want, strings.TrimSpace(rest))
			}
		}
		got := "no error"
		if err := check(path); err != nil {
			got = strings.ReplaceAll(err.Error(), "testdata"+string(filepath.Separator), "")
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
			t.Errorf("%s: wrong message (-want +got):\n%s", path, diff)
		}
	}
}

// TestGoodFiles loads each file, and compares the completed configuration and
// its origins with the file's golden.
func TestGoodFiles(t *testing.T) {
	t.Parallel()
	for _, path := range corpus(t, "*.good.yaml", 5) {
		loaded, origins, err := Load(LoadOptions{File: path})
		if err != nil {
			t.Errorf("load %s: %v", path, err)
			continue
		}
		completed, err := loaded.Complete(machine)
		if err != nil {
			t.Errorf("complete %s: %v", path, err)
		}
		origins = origins.WithMachine(loaded, completed)
		if err := completed.Validate(origins); err != nil {
			t.Errorf("validate %s: %v", path, err)
		}
		text, err := completed.YAML(origins)
		if err != nil {
			t.Fatal(err)
		}
		golden.Check(t, strings.TrimSuffix(filepath.Base(path), ".yaml")+".golden", text)
	}
}

func corpus(t testing.TB, pattern string, atLeast int) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) < atLeast {
		t.Fatalf("%d files match %s (%v), want at least %d", len(files), pattern, err, atLeast)
	}
	return files
}

func check(path string) error {
	cfg, origins, err := Load(LoadOptions{File: path})
	if err != nil {
		return err
	}
	if cfg, err = cfg.Complete(machine); err != nil {
		return err
	}
	return cfg.Validate(origins)
}
