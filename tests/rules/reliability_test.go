package rules

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// namedTest is a test that a page names, with a part of it after a slash.
var namedTest = regexp.MustCompile("`(Test[A-Za-z0-9]+)(?:/([^`]+))?`")

// A page that says what kelp survives is believed: each row of its tables names the
// test that shows it, and the test is there.
func TestEveryFailureHasItsTest(t *testing.T) {
	t.Parallel()
	tests, parts := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				tests[n.Name.Name] = tests[n.Name.Name] || s.test()
			case *ast.BasicLit:
				parts[literal(n)] = true
			}
			return true
		})
	}
	page := filepath.Join(root, "docs", "reliability.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		found := namedTest.FindAllStringSubmatch(line, -1)
		row := strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what happens")
		if row {
			rows++
		}
		if row && len(found) == 0 {
			t.Errorf("reliability.md promises this and names no test that shows it: %s", line)
		}
		for _, m := range found {
			if !tests[m[1]] {
				t.Errorf("reliability.md names the test %s, which is not there", m[1])
			}
			if m[2] != "" && !parts[m[2]] {
				t.Errorf("reliability.md names a part of %s, %q, and no test has one of this name", m[1], m[2])
			}
		}
	}
	if rows < 20 {
		t.Errorf("found %d rows in reliability.md: this test looks in the wrong place", rows)
	}
}
