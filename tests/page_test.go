//go:build e2e

package tests

import (
	"os"
	"strings"
	"testing"
)

// commands are those of a documentation page, one per line, in the block below
// <!-- test: name -->. At most five lead through a recovery.
func commands(t *testing.T, page, name string) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- test: "+name+" -->\n```sh\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("%s has no commands named %s", page, name)
	}
	var list []string
	for line := range strings.Lines(block) {
		command, _, _ := strings.Cut(line, "#")
		list = append(list, strings.TrimSpace(command))
	}
	if len(list) > 5 {
		t.Errorf("%s: %s takes %d commands", page, name, len(list))
	}
	return list
}

// follow runs a page's commands, with $NAMEs as they are given.
func (s *server) follow(t *testing.T, page, name string, values map[string]string) {
	t.Helper()
	for _, command := range commands(t, page, name) {
		s.run(t, os.Expand(command, func(key string) string { return values[key] }))
	}
}
