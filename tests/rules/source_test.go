package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/kelp-project/kelp/"
)

// source is one Go file of ours.
type source struct {
	path string // from the root, with slashes
	dir  string
	ast  *ast.File
	set  *token.FileSet
	text string
}

func (s source) test() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s source) generated() bool { return strings.HasPrefix(filepath.Base(s.path), "zz_") }

// imports are the packages of ours that the file imports, from the root.
func (s source) imports() []string {
	var found []string
	for _, i := range s.ast.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if own, ok := strings.CutPrefix(path, module); ok && err == nil {
			found = append(found, own)
		}
	}
	return found
}

func (s source) at(p token.Pos) string {
	return s.path + ":" + strconv.Itoa(s.set.Position(p).Line)
}

// sources reads all Go files of the tree.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, top := range []string{"cmd", "pkg", "manifests", "packaging", "scripts", "tests"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.Contains(path, "/testdata/") || strings.Contains(path, "scripts/modules/") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, path, text, parser.ParseComments)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			all = append(all, source{path: filepath.ToSlash(rel), dir: filepath.ToSlash(filepath.Dir(rel)), ast: parsed, set: set, text: string(text)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 50 {
		t.Fatalf("found %d Go files: this test looks in the wrong place", len(all))
	}
	return all
}
