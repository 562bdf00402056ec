//go:build e2e

package tests

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// A build with nothing changed builds nothing: it leaves the binary alone and
// says nothing of work.
func TestASecondBuildDoesNothing(t *testing.T) {
	if os.Getenv("KELP_BIN") != "" {
		t.Skip("the binary under test is not the one that make builds here")
	}
	path, err := hosts.Binary()
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "make", "--no-print-directory", "build")
	command.Dir = ".."
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	if text := strings.TrimSpace(string(out)); text != "" {
		t.Errorf("a second build did something:\n%s", text)
	}
	after, err := os.Stat(path)
	if err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the binary was made anew at %v, before at %v; %v", after.ModTime(), before.ModTime(), err)
	}
}
