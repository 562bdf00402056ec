package docgen

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

// Help reads the Go file that declares the struct Config and the structs it
// is made of, and returns the doc comments by the path of the setting or
// section in the YAML tree. A field's comment loses the field's own name and
// the verb after it, where that is a mere "is" or "are": what is left reads
// well in a list of flags. A field without a comment is an error.
func Help(file string) (map[string]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	structs, docs := map[string]*ast.StructType{}, map[string]string{}
	for _, decl := range parsed.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range group.Specs {
			if t, ok := spec.(*ast.TypeSpec); ok {
				if s, ok := t.Type.(*ast.StructType); ok {
					structs[t.Name.Name], docs[t.Name.Name] = s, oneLine(group.Doc)
				}
			}
		}
	}
	help := map[string]string{}
	var visit func(name, prefix string) error
	visit = func(name, prefix string) error {
		for _, f := range structs[name].Fields.List {
			quoted, err := strconv.Unquote(f.Tag.Value)
			if err != nil {
				return fmt.Errorf("read the tag of %s.%s: %w", name, f.Names[0].Name, err)
			}
			path := prefix + reflect.StructTag(quoted).Get("yaml")
			if section, ok := f.Type.(*ast.Ident); ok && structs[section.Name] != nil {
				help[path] = docs[section.Name]
				if err := visit(section.Name, path+"."); err != nil {
					return err
				}
				continue
			}
			if help[path] = withoutName(f.Names[0].Name, oneLine(f.Doc)); help[path] == "" {
				return fmt.Errorf("%s.%s has no doc comment, which is its help text", name, f.Names[0].Name)
			}
		}
		return nil
	}
	if structs["Config"] == nil {
		return nil, fmt.Errorf("%s declares no struct Config", file)
	}
	return help, visit("Config", "")
}

func oneLine(doc *ast.CommentGroup) string {
	return strings.Join(strings.Fields(doc.Text()), " ")
}

func withoutName(name, text string) string {
	text = strings.TrimPrefix(text, name+" ")
	for _, verb := range []string{"is ", "are "} {
		text = strings.TrimPrefix(text, verb)
	}
	return text
}

// HelpFile renders help as the Go file zz_help.go.
func HelpFile(help map[string]string) ([]byte, error) {
	paths := make([]string, 0, len(help))
	for path := range help {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	var b bytes.Buffer
	b.WriteString("// Code generated from config.go by go generate. DO NOT EDIT.\n\npackage config\n\nvar help = map[string]string{\n")
	for _, path := range paths {
		fmt.Fprintf(&b, "%q: %q,\n", path, help[path])
	}
	b.WriteString("}\n")
	return format.Source(b.Bytes())
}
