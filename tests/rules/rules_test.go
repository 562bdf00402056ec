package rules

import (
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ranks are the packages by rank: one may import lower ranks only.
var ranks = [][]string{
	{"pkg/config", "pkg/supervisor", "pkg/tunnel", "pkg/args", "pkg/balancer", "pkg/leader", "pkg/payload", "pkg/process", "pkg/trial", "pkg/version", "pkg/internal", "manifests", "packaging"},
	{"pkg/pki", "pkg/images", "pkg/live"},
	{"pkg/token", "pkg/epoch", "pkg/metrics"},
	{"pkg/join", "pkg/datastore", "pkg/encryption", "pkg/authorities", "pkg/control", "pkg/front", "pkg/node", "pkg/deploy", "pkg/servicelb"},
	{"pkg/doctor", "pkg/preflight", "pkg/nodepart", "pkg/snapshots"},
	{"pkg/upgrade"},
	{"pkg/rollout"},
	{"pkg/server", "pkg/agent"},
	{"pkg/cli"},
	{"cmd"},
}

// lower are imports within a rank that are allowed, for a reason.
var lower = map[string][]string{
	"pkg/supervisor": {"pkg/internal"},
	"pkg/process":    {"pkg/config", "pkg/internal"}, // the log's level and format are settings
	"pkg/trial":      {"pkg/internal"},
	"pkg/payload":    {"pkg/internal"},
	"pkg/config":     {"pkg/internal"},
	"pkg/args":       {"pkg/internal"},
	"pkg/balancer":   {"pkg/internal"},
	"pkg/tunnel":     {"pkg/internal"},
	"pkg/leader":     {"pkg/internal"},
}

// rankOf returns a package's rank and its family, the folder that has it.
func rankOf(dir string) (rank int, family string) {
	for r, families := range ranks {
		for _, f := range families {
			if dir == f || strings.HasPrefix(dir, f+"/") {
				return r, f
			}
		}
	}
	return -1, ""
}

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		from, family := rankOf(s.dir)
		if !strings.HasPrefix(s.dir, "pkg/") || s.test() {
			continue
		}
		if from < 0 {
			t.Errorf("%s: %s has no rank: add it to the table, so that it is known who may import it", s.path, s.dir)
			continue
		}
		for _, i := range s.imports() {
			to, other := rankOf(i)
			switch {
			case strings.Contains(i, "/internal/"), slices.Contains(lower[family], other):
			case family == other:
				if !strings.HasPrefix(i, s.dir+"/") && s.dir != i && !slices.Contains(siblings, s.dir+" "+i) {
					t.Errorf("%s imports %s: of one family, the parent imports its children, and siblings do not know each other", s.path, i)
				}
			case to >= from:
				t.Errorf("%s (rank %d) imports %s (rank %d): the core must not know its callers; pass a value or a small interface", s.path, from, i, to)
			}
		}
	}
}

// siblings that know each other, a list that may only become shorter.
var siblings = []string{
	"pkg/config/internal/docgen pkg/config", // a generator that is run, never imported
	"pkg/datastore/storetest pkg/datastore", // a suite for whatever implements it
	"pkg/supervisor/supervisortest pkg/supervisor",
	"pkg/datastore/kine/kinetest pkg/datastore/kine", // runs it for others' tests
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, s := range sources(t) {
		documented[s.dir] = documented[s.dir] || s.ast.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment: a newcomer decides by it whether to read on", dir)
		}
	}
}

func TestFilesAreReadInOneSitting(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if n := strings.Count(s.text, "\n"); n > 400 && !s.generated() {
			t.Errorf("%s has %d lines: above 400 there are two subjects in it; split it by noun", s.path, n)
		}
	}
}

// exits may end the process, each for the reason given.
var exits = map[string]string{
	"pkg/process/process.go": "owns the end of the process: klog's exit and the second signal",
}

func TestOnlyMainEndsTheProcess(t *testing.T) {
	t.Parallel()
	ends := []string{"os.Exit", "log.Fatal", "log.Fatalf", "logrus.Fatal", "logrus.Fatalf", "syscall.Exit"}
	for _, s := range sources(t) {
		if s.ast.Name.Name == "main" || exits[s.path] != "" {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name == "TestMain" {
				return false
			}
			if c, ok := n.(*ast.CallExpr); ok && slices.Contains(ends, callee(c)) {
				t.Errorf("%s calls %s: what runs must be stopped first; return an error", s.at(c.Pos()), callee(c))
			}
			return true
		})
	}
}

func callee(c *ast.CallExpr) string {
	if sel, ok := c.Fun.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok {
			return x.Name + "." + sel.Sel.Name
		}
	}
	return ""
}

func TestTestsWaitForConditions(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !s.test() && !strings.HasPrefix(s.path, "tests/") {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok && callee(c) == "time.Sleep" {
				t.Errorf("%s sleeps: it is too short on a slow machine and too long on all others; wait for a condition with a bound", s.at(c.Pos()))
			}
			return true
		})
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test() || s.generated() || s.ast.Name.Name == "main" {
			continue
		}
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.IsExported() && f.Doc == nil && receiverExported(f) {
				t.Errorf("%s: %s has no doc comment: say what it does, units and errors", s.at(f.Pos()), f.Name)
			}
			if g, ok := d.(*ast.GenDecl); ok {
				for _, spec := range g.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && g.Doc == nil && ts.Doc == nil {
						t.Errorf("%s: type %s has no doc comment", s.at(ts.Pos()), ts.Name)
					}
				}
			}
		}
	}
}

func receiverExported(f *ast.FuncDecl) bool {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return true
	}
	e := f.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if index, ok := e.(*ast.IndexExpr); ok {
		e = index.X
	}
	id, ok := e.(*ast.Ident)
	return ok && id.IsExported()
}

func TestPathsComeFromOnePlace(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test() || s.dir == "pkg/config" || strings.HasPrefix(s.path, "tests/") {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || callee(c) != "filepath.Join" || len(c.Args) == 0 {
				return true
			}
			if sel, ok := c.Args[0].(*ast.SelectorExpr); ok && sel.Sel.Name == "DataDir" {
				t.Errorf("%s joins a path to the data directory: add a field to config.Paths, where a reader finds them all", s.at(c.Pos()))
			}
			return true
		})
	}
}

// secrets of where kelp is made must not be in what is published.
var places = regexp.MustCompile(`/work/(main|shared)|/root/go/|proxy\.golang\.org|deb\.debian\.org|registry\.npmjs\.org`)

func TestNoPlacesOfOurs(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("git", "-C", root, "ls-files").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(out)) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || name == "tests/rules/rules_test.go" {
			continue // removed in the work tree
		}
		if m := places.Find(text); m != nil {
			t.Errorf("%s speaks of %s: kelp is built on other machines, too", name, m)
		}
	}
}
