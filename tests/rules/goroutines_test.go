package rules

import (
	"go/ast"
	"strings"
	"testing"
)

// goroutines are the go statements of the product, by file, with how each
// ends. The list may only become shorter: what runs for long is a component.
var goroutines = map[string]string{
	"pkg/node/proxy/component.go": "upstream's Run waits for ever on channels that are nil",
	"pkg/supervisor/stop.go":      "ends with the components that it waits for",
	"pkg/doctor/server.go":        "ends with Close",
	"pkg/process/process.go":      "waits for the second signal, as long as the process lives",
	"pkg/preflight/kernel.go":     "a thread that is thrown away; the function waits for it",
	"pkg/preflight/fsync.go":      "the function waits for it, but on a disk that hangs: nothing ends a write to that",
	"pkg/front/front.go":          "Run waits for it",
}

func TestNoStrayGoroutines(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() || !strings.HasPrefix(s.path, "pkg/") && !strings.HasPrefix(s.path, "cmd/") || strings.HasSuffix(s.dir, "test") {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			g, ok := n.(*ast.GoStmt)
			if !ok {
				return true
			}
			if goroutines[s.path] == "" || seen[s.path] {
				t.Errorf("%s starts a goroutine: who waits for its end, and who sees its error? Use a sync.WaitGroup in the function, or a component", s.at(g.Pos()))
			}
			seen[s.path] = true
			return true
		})
	}
	for path := range goroutines {
		if !seen[path] {
			t.Errorf("%s starts no goroutine any more: take it off the list", path)
		}
	}
}

// A panic is for what cannot happen, and says why it cannot.
func TestPanicsAreImpossible(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test() || !strings.HasPrefix(s.path, "pkg/") {
			continue
		}
		lines := strings.Split(s.text, "\n")
		ast.Inspect(s.ast, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := c.Fun.(*ast.Ident); ok && f.Name == "panic" && !strings.Contains(lines[s.set.Position(c.Pos()).Line-1], "//") {
				t.Errorf("%s panics: return an error, or say in a comment on the line why it cannot happen", s.at(c.Pos()))
			}
			return true
		})
	}
}
