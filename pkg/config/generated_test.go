package config_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kelp-project/kelp/pkg/config/internal/docgen"
)

// TestGeneratedFilesAreFresh fails when a doc comment, a tag or a default was
// changed and `go generate ./pkg/config` was not run.
func TestGeneratedFilesAreFresh(t *testing.T) {
	t.Parallel()
	help, err := docgen.Help("config.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := docgen.HelpFile(help)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{"zz_help.go": source, "../../docs/configuration.md": docgen.Reference(help)} {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is stale, run go generate ./pkg/config (-want +got):\n%s", path, diff)
		}
	}
}
