package version

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestString(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimRight(String(), "\n"), "\n")
	for i, name := range []string{"kelp", "commit", "kubernetes", "go"} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], name+" ") || len(lines[i]) <= len(name)+1 {
			t.Errorf("line %d of\n%s\nis not %q and a version", i+1, String(), name)
		}
	}
}

// TestStamp links a program with this package and stamps it: an initialiser
// added to one of the variables would make the linker's stamp vanish.
func TestStamp(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "stamped")
	const pkg = "github.com/kelp-project/kelp/pkg/version"
	ldflags := "-X " + pkg + ".Version=v9.9.9+kelp1 -X " + pkg + ".Commit=abcdef -X " + pkg + ".KubernetesVersion=v9.9.9 -X " + pkg + ".Date=2026-11-27T12:00:00Z"
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "-ldflags", ldflags, "./testdata/stamped").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "kelp v9.9.9+kelp1\ncommit abcdef\nkubernetes v9.9.9\n"; !strings.HasPrefix(string(out), want) || !strings.HasSuffix(string(out), "\nmade 1795780800\n") {
		t.Errorf("stamped program says\n%s\nwant\n%s", out, want)
	}
}
