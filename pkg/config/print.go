package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Every printer is in this file, and every one goes through Field.Strings,
// which redacts secrets. Config's own formatting methods are here so that a
// Config in a log line or an error cannot leak one either.

// String is the configuration as YAML, secrets redacted.
func (c Config) String() string {
	text, err := c.YAML(nil)
	if err != nil {
		return fmt.Sprintf("(configuration that cannot be printed: %v)", err)
	}
	return string(text)
}

// GoString is String: %#v redacts as well.
func (c Config) GoString() string { return c.String() }

// MarshalYAML redacts secrets, too; no file is ever written from a Config.
func (c Config) MarshalYAML() (any, error) { return c.tree(nil), nil }

// YAML renders the whole configuration as a file that kelp reads, secrets
// redacted. With origins, each line that is not a default says in a comment
// where its value came from.
func (c Config) YAML(origins Origins) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(c.tree(origins)); err != nil {
		return nil, fmt.Errorf("render configuration: %w", err)
	}
	return b.Bytes(), nil
}

// MarshalJSON renders the tree with secrets redacted: booleans and ports as
// such, everything else as strings.
func (c Config) MarshalJSON() ([]byte, error) {
	tree := map[string]any{}
	for _, f := range fields {
		at, name := tree, f.Path
		if section, leaf, nested := strings.Cut(f.Path, "."); nested {
			if at[section] == nil {
				at[section] = map[string]any{}
			}
			at, name = at[section].(map[string]any), leaf
		}
		at[name] = f.plainJSON(c)
	}
	return json.Marshal(tree)
}

func (f Field) plainJSON(c Config) any {
	texts := f.Strings(c)
	switch {
	case f.List:
		return texts
	case f.Kind == KindBool, f.Kind == KindPort, f.Kind == KindCount:
		return f.value(&c).Interface()
	}
	return strings.Join(texts, "")
}

// tree is the configuration as YAML nodes, in the order of the struct.
func (c Config) tree(origins Origins) *yaml.Node {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fields {
		at, name := section(root, f.Path)
		key, value := scalar(name, KindString), f.nodeOf(f.Strings(c))
		if origin, given := origins[f.Path]; given {
			commented := value
			if value.Kind == yaml.SequenceNode && len(value.Content) > 0 {
				commented = key
			}
			commented.LineComment = origin.String()
		}
		at.Content = append(at.Content, key, value)
	}
	return root
}

// section is the node that holds the setting at path, made where it is missing,
// and the setting's name in it. Settings come in the order of the struct, so a
// section that is there is the last one.
func section(root *yaml.Node, path string) (at *yaml.Node, name string) {
	group, leaf, nested := strings.Cut(path, ".")
	if !nested {
		return root, path
	}
	if n := len(root.Content); n == 0 || root.Content[n-2].Value != group {
		root.Content = append(root.Content, scalar(group, KindString), &yaml.Node{Kind: yaml.MappingNode})
	}
	return root.Content[len(root.Content)-1], leaf
}

func (f Field) nodeOf(texts []string) *yaml.Node {
	if !f.List {
		return scalar(strings.Join(texts, ""), f.Kind)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	if len(texts) == 0 {
		list.Style = yaml.FlowStyle
	}
	for _, text := range texts {
		list.Content = append(list.Content, scalar(text, f.Kind))
	}
	return list
}

func scalar(text string, kind Kind) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text, Tag: "!!str"}
	switch kind {
	case KindBool:
		n.Tag = "!!bool"
	case KindPort, KindCount:
		n.Tag = "!!int"
	case KindMode:
		n.Style = yaml.DoubleQuotedStyle // 0600 must not become a number
	}
	return n
}

// Row is a line of the table that shows a configuration.
type Row struct {
	Path   string `json:"path"`
	Flag   string `json:"flag"`
	Value  string `json:"value"` // secrets redacted, lists separated as in the environment
	Origin string `json:"origin"`
}

// Rows lists every setting with its value and where that came from.
func (c Config) Rows(origins Origins) []Row {
	rows := make([]Row, len(fields))
	for i, f := range fields {
		rows[i] = Row{Path: f.Path, Flag: f.Flag, Value: f.text(c), Origin: origins[f.Path].String()}
	}
	return rows
}
