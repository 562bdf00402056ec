package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "record golden files; the run fails")

// Check compares got with testdata/name, relative to the package under test.
func Check(t testing.TB, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if err == nil && string(want) == string(got) {
		return
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("recorded %s: read it, then run without -update", path)
		return
	}
	if err != nil {
		t.Fatalf("%v (record it with -update)", err)
	}
	t.Errorf("%s differs (-want +got), record with -update if that is meant:\n%s", path, cmp.Diff(string(want), string(got)))
}
