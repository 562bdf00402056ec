package rules

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/pages"
)

// pagesOf are the documentation's files by their names from docs, as tests say them.
func pagesOf(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(files) < 10 {
		t.Fatalf("found the pages %v, %v: this test looks in the wrong place", files, err)
	}
	names := []string{"../README.md", "../CONTRIBUTING.md"}
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	return names
}

// languages are those of code blocks: sh is for commands.
var languages = []string{"sh", "yaml", "json", "text"}

// blockOf is a code block as tests name it.
type blockOf struct{ page, name string }

func TestCommandsOfPagesAreRun(t *testing.T) {
	t.Parallel()
	readers := readersOfPages(t)
	known := map[blockOf]bool{}
	for _, page := range pagesOf(t) {
		blocks, err := pages.Read(filepath.Join(root, "docs", page))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, b := range blocks {
			is := blockOf{page, b.Name}
			switch {
			case !slices.Contains(languages, b.Language):
				t.Errorf("%s: the code block's language is %q and not one of %v", b.At(), b.Language, languages)
			case b.Test != "" && known[is]:
				t.Errorf("%s: another block of the page is named %q, too", b.At(), b.Name)
			case b.Test != "" && readers[b.Test] == nil:
				t.Errorf("%s: there is no test %s", b.At(), b.Test)
			case b.Test != "" && !readers[b.Test][is]:
				t.Errorf("%s: %s does not read this block: it has to name %q and %q, one after the other, so that what runs is what the page says", b.At(), b.Test, page, b.Name)
			case b.Language == "sh" && b.Test == "" && b.NotRun == "":
				t.Errorf("%s: commands that nobody runs are wrong after a while: say in a comment above them which test runs them, or why none does", b.At())
			}
			known[is] = true
		}
	}
	for test, read := range readers {
		for b := range read {
			if !known[b] {
				t.Errorf("%s reads a block %q of %s, and there is none", test, b.name, b.page)
			}
		}
	}
}

// readersOfPages are the tests, each with the blocks that it or what it calls names.
func readersOfPages(t *testing.T) map[string]map[blockOf]bool {
	t.Helper()
	functions := map[string][]*ast.FuncDecl{} // by directory and name
	for _, s := range sources(t) {
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				functions[s.dir+" "+f.Name.Name] = append(functions[s.dir+" "+f.Name.Name], f)
			}
		}
	}
	readers := map[string]map[blockOf]bool{}
	for key := range functions {
		dir, name, _ := strings.Cut(key, " ")
		if !strings.HasPrefix(name, "Test") {
			continue
		}
		found := map[blockOf]bool{}
		read(functions, dir, name, found, map[string]bool{})
		readers[name] = found
	}
	return readers
}

// read collects the blocks that a function of a directory names, and those that it calls.
func read(functions map[string][]*ast.FuncDecl, dir, name string, found map[blockOf]bool, seen map[string]bool) {
	if seen[name] {
		return
	}
	seen[name] = true
	for _, f := range functions[dir+" "+name] {
		ast.Inspect(f.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				named(n.Args, found)
			case *ast.CompositeLit:
				named(n.Elts, found)
			case *ast.Ident: // of a function that is called or handed on
				read(functions, dir, n.Name, found, seen)
			}
			return true
		})
	}
}

// named finds a page and a block's name, one after the other.
func named(list []ast.Expr, found map[blockOf]bool) {
	for i := 1; i < len(list); i++ {
		page, name := literal(list[i-1]), literal(list[i])
		if strings.HasSuffix(page, ".md") && name != "" && !strings.HasSuffix(name, ".md") {
			found[blockOf{page, name}] = true
		}
	}
}

func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		text, _ := strconv.Unquote(l.Value) // the parser has read it
		return text
	}
	return ""
}

// Whoever begins with the README finds every page.
func TestReadmeNamesEveryPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pagesOf(t) {
		if !strings.HasPrefix(page, "..") && !strings.Contains(string(text), "](docs/"+page) {
			t.Errorf("README.md has no link to docs/%s", page)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)\s]*))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	mark    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Links lead to files of the tree, and to headings that are there.
func TestLinksResolve(t *testing.T) {
	t.Parallel()
	decisions, err := filepath.Glob(filepath.Join(root, "docs", "adr", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pagesOf(t) {
		decisions = append(decisions, filepath.Join(root, "docs", page))
	}
	for _, file := range decisions {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to := file
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(file), m[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
			} else if m[2] != "" && !slices.Contains(anchors(t, to), m[2]) {
				t.Errorf("%s links to %s, which has no heading %s", file, to, m[2])
			}
		}
	}
}

// anchors are the names that a page's headings have in links.
func anchors(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		plain := mark.ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(plain, " ", "-"))
	}
	return list
}
