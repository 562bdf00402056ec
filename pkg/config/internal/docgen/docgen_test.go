package docgen

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kelp-project/kelp/pkg/config"
)

const source = "package config\n\n" +
	"// Config is everything.\ntype Config struct {\n" +
	"\t// DataDir is the directory\n\t// for all.\n\tDataDir string `yaml:\"dataDir\" flag:\"data-dir\"`\n\n" +
	"\t// Debug turns on more.\n\tDebug bool `yaml:\"debug\" flag:\"debug\"`\n\n" +
	"\tLog Log `yaml:\"log\"`\n}\n\n" +
	"// Log says what is logged.\ntype Log struct {\n" +
	"\t// Levels are the levels.\n\tLevels []string `yaml:\"levels\" flag:\"log-level\"`\n}\n"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.go")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHelp(t *testing.T) {
	t.Parallel()
	got, err := Help(write(t, source))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"dataDir": "the directory for all.", "debug": "turns on more.", "log": "Log says what is logged.", "log.levels": "the levels.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("help (-want +got):\n%s", diff)
	}
}

func TestHelpIsRequired(t *testing.T) {
	t.Parallel()
	_, err := Help(write(t, strings.Replace(source, "\t// Debug turns on more.\n", "", 1)))
	if err == nil || !strings.Contains(err.Error(), "Config.Debug has no doc comment") {
		t.Errorf("error %v does not name the field without a comment", err)
	}
	if _, err := Help(write(t, "package config\n")); err == nil {
		t.Error("a file without the struct is accepted")
	}
}

// TestReferenceIsWhole checks that each setting stands on the page with all
// its names, and that the page has no secret's default.
func TestReferenceIsWhole(t *testing.T) {
	t.Parallel()
	help := map[string]string{}
	for _, f := range config.Fields() {
		help[f.Path] = "x marks " + f.Path + "."
	}
	page := string(Reference(help))
	for _, f := range config.Fields() {
		for _, want := range []string{"\n### " + f.Path + "\n", "`--" + f.Flag + "`", "`" + f.Env + "`", "X marks " + f.Path} {
			if !strings.Contains(page, want) {
				t.Errorf("the page has no %q for %s", want, f.Path)
			}
		}
	}
}
