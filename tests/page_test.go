//go:build e2e

package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/pages"
)

// block is the text of a code block of the documentation: of a page in docs, by the
// name in the comment above it.
func block(t *testing.T, page, name string) string {
	t.Helper()
	blocks, err := pages.Read(filepath.Join("../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	b, err := pages.Find(blocks, name)
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	return b.Text
}

// lines are the commands of a block that has one per line.
func lines(t *testing.T, page, name string) []string {
	t.Helper()
	var list []string
	for line := range strings.Lines(block(t, page, name)) {
		command, _, _ := strings.Cut(line, " #")
		list = append(list, strings.TrimSpace(command))
	}
	return list
}

// commands are lines that lead through a recovery: five at most.
func commands(t *testing.T, page, name string) []string {
	t.Helper()
	list := lines(t, page, name)
	if len(list) > 5 {
		t.Errorf("%s: %s takes %d commands", page, name, len(list))
	}
	return list
}

// follow runs a block's commands, with $NAMEs as they are given.
func (s *server) follow(t *testing.T, page, name string, values map[string]string) {
	t.Helper()
	for _, command := range commands(t, page, name) {
		s.run(t, os.Expand(command, func(key string) string { return values[key] }))
	}
}

// examples are what stands in a page for what is elsewhere in each cluster, and what
// a test has in its place: example, value, example, value.
type examples []string

// in puts the values into a text. An example that is not in it is a mistake of the
// test's or of the page's.
func (e examples) in(t *testing.T, text string) string {
	t.Helper()
	for i := 0; i < len(e); i += 2 {
		if !strings.Contains(text, e[i]) {
			t.Errorf("there is no %q in\n%s", e[i], text)
		}
	}
	return strings.NewReplacer(e...).Replace(text)
}

// script runs a block as one script, in root's directory, and returns what it says.
func (s *server) script(t *testing.T, page, name string, values examples) string {
	t.Helper()
	return s.run(t, "cd /root\n"+values.in(t, block(t, page, name)))
}
