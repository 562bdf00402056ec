package program

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPathFollowsRenames looks at a program that was renamed, and replaced, while it
// runs.
func TestPathFollowsRenames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	text, err := os.ReadFile("/bin/cat")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first, text, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), first)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	// It has executed cat when it answers.
	if _, err := io.WriteString(in, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	is := func(want, when string) {
		t.Helper()
		if got, err := PathOf(command.Process.Pid); got != want || err != nil {
			t.Errorf("%s it is %q, %v; want %q", when, got, err, want)
		}
	}
	is(first, "at first")
	if err := os.Rename(first, second); err != nil {
		t.Fatal(err)
	}
	is(second, "renamed")
	if err := os.WriteFile(first, text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(first, second); err != nil {
		t.Fatal(err)
	}
	is(second, "replaced")
	_ = in.Close()
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}
