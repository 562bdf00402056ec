package document

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is one YAML document of a file.
type Document struct {
	Path       string
	APIVersion string
	Kind       string
	data       []byte
	root       *yaml.Node
}

// Read reads the document of a file.
func Read(path string) (*Document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads the document in data; the path is for errors.
func Parse(path string, data []byte) (*Document, error) {
	d := &Document{Path: path, data: data, root: &yaml.Node{}}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, d.syntax(err)
	}
	if len(doc.Content) > 0 {
		d.root = doc.Content[0]
	}
	d.APIVersion, d.Kind = d.text("apiVersion"), d.text("kind")
	return d, nil
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

func (d *Document) syntax(err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s:%s: not YAML: %s", d.Path, m[1], m[2])
	}
	return fmt.Errorf("%s: %w", d.Path, err)
}

func (d *Document) text(key string) string {
	if node, _ := d.find(key); node != nil && node.Kind == yaml.ScalarNode {
		return node.Value
	}
	return ""
}

// Has says whether the document gives a field, as a.b[0].c.
func (d *Document) Has(field string) bool {
	node, _ := d.find(field)
	return node != nil
}

// Value is the value of a field as JSON has it, nil if there is none.
func (d *Document) Value(field string) any {
	var value any
	if node, _ := d.find(field); node == nil || node.Decode(&value) != nil {
		return nil
	}
	return value
}

// Errorf is an error about a field, or about the nearest one above it that the
// document has: it begins with the file and the line.
func (d *Document) Errorf(field, format string, args ...any) error {
	_, line := d.find(field)
	return fmt.Errorf("%s:%d: %w", d.Path, line, fmt.Errorf(format, args...))
}

// find returns the value of a field, nil if there is none, and the line of its key
// or of the nearest one above it.
func (d *Document) find(field string) (*yaml.Node, int) {
	node, line := d.root, max(d.root.Line, 1)
	for _, step := range steps(field) {
		var next *yaml.Node
		switch index, err := strconv.Atoi(step); {
		case node.Kind == yaml.SequenceNode && err == nil && index < len(node.Content):
			next = node.Content[index]
			line = next.Line
		case node.Kind == yaml.MappingNode:
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == step {
					next, line = node.Content[i+1], node.Content[i].Line
				}
			}
		}
		if next == nil {
			return nil, line
		}
		if node = next; node.Kind == yaml.AliasNode {
			node = node.Alias
		}
	}
	return node, line
}

func steps(field string) []string {
	return strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}
