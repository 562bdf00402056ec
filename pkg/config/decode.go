package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder lays one YAML file over a Config. It walks the nodes rather than
// decoding into the struct, so that each problem has its line, all problems
// are found in one go, and each value's origin is known.
type decoder struct {
	file    string
	cfg     *Config
	origins Origins
	lines   map[string]int // where this file has set a field
	errs    []error
}

// decode lays the file's text over cfg and records origins. The error holds
// every problem of the file; cfg is then half-filled.
func decode(file string, text []byte, cfg *Config, origins Origins) error {
	d := &decoder{file: file, cfg: cfg, origins: origins, lines: map[string]int{}}
	stream := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := stream.Decode(&doc); errors.Is(err, io.EOF) {
		return nil // empty, or comments only
	} else if err != nil {
		return d.syntax(err)
	}
	if err := stream.Decode(&second); err == nil {
		d.fail(&second, "a second YAML document; a configuration file holds one")
	} else if !errors.Is(err, io.EOF) {
		return d.syntax(err)
	}
	switch root := resolve(doc.Content[0]); {
	case root.Kind == yaml.MappingNode:
		d.mapping(root, "")
	case isNull(root):
	default:
		d.fail(root, "%s where settings were expected, such as node-name: alpha", describe(root))
	}
	return errors.Join(d.errs...)
}

func (d *decoder) fail(at *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("%s:%d: %s", d.file, max(at.Line, 1), fmt.Sprintf(format, args...)))
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(?s:(.*))$`)

// yamlGrammar matches the messages of the YAML package's grammar, which counts
// lines from zero there, and from one elsewhere (v3.0.5, parser.fail; remove
// when that is mended).
var yamlGrammar = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or)`)

// syntax rewrites the YAML package's error with the file and the line in front.
func (d *decoder) syntax(err error) error {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, convErr := strconv.Atoi(m[1])
	if convErr != nil {
		line = 1
	} else if yamlGrammar.MatchString(m[2]) {
		line++
	}
	return fmt.Errorf("%s:%d: not YAML: %s", d.file, line, m[2])
}

// mapping reads the keys of the file itself (prefix "") or of a section.
func (d *decoder) mapping(node *yaml.Node, prefix string) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			d.fail(key, "%s where the name of a setting was expected", describe(key))
			continue
		}
		if key.Tag == "!!merge" {
			d.fail(key, "merge keys (<<) are not supported")
			continue
		}
		name, extend := strings.CutSuffix(key.Value, "+")
		if d.section(key, value, prefix, extend) {
			continue
		}
		f, ok := fieldByPath(prefix + name)
		if !ok && prefix == "" {
			f, ok = FieldByFlag(name)
			ok = ok && len(name) > 1 // -t is for the command line alone
		}
		if !ok {
			d.fail(key, "unknown key %q%s", prefix+key.Value, suggestKey(prefix, name))
			continue
		}
		d.leaf(f, key, value, extend)
	}
}

// section reads a group of settings, if the key names one.
func (d *decoder) section(key, value *yaml.Node, prefix string, extend bool) bool {
	path := prefix + key.Value
	if extend || !slices.ContainsFunc(sections, func(s Section) bool { return s.Path == path }) {
		return false
	}
	if _, isFlag := FieldByFlag(key.Value); isFlag && prefix == "" && value.Kind != yaml.MappingNode && !isNull(value) {
		return false // network and datastore are flags, too
	}
	if line, twice := d.lines[path+"."]; twice {
		d.fail(key, "%s: given twice, first on line %d", path, line)
		return true
	}
	d.lines[path+"."] = key.Line
	switch {
	case value.Kind == yaml.MappingNode:
		d.mapping(value, path+".")
	case !isNull(value):
		d.fail(value, "%s: %s where its settings were expected, indented, one a line", path, describe(value))
	}
	return true
}

// leaf reads one setting.
func (d *decoder) leaf(f Field, key, value *yaml.Node, extend bool) {
	if line, twice := d.lines[f.Path]; twice {
		d.fail(key, "%s: given twice, first on line %d", f.Path, line)
		return
	}
	d.lines[f.Path] = key.Line
	texts, ok := d.texts(f, value)
	if !ok {
		return
	}
	first, given := 0, len(texts)
	if extend && !f.List {
		d.fail(key, "%s: %s+ is for lists, and this is one value", f.Path, f.Flag)
		return
	}
	if extend {
		texts = append(f.plain(*d.cfg), texts...)
		first = len(texts) - given
	}
	v, err := f.parseAll(texts)
	if err != nil {
		d.fail(value, "%s: %v", f.Path, err)
		return
	}
	f.value(d.cfg).Set(v)
	d.origins[f.Path] = Origin{File: d.file, Line: key.Line, Extended: extend}
	d.arguments(f, value, first, given)
}

// arguments notes on which line each argument of a component stands: it is only
// read much later, by the component's own package.
func (d *decoder) arguments(f Field, value *yaml.Node, first, given int) {
	if !f.Commas {
		return
	}
	d.origins.forget(f.Path, first)
	for i := range given {
		line := value.Line
		if value.Kind == yaml.SequenceNode {
			line = value.Content[i].Line
		}
		d.origins[item(f.Path, first+i)] = Origin{File: d.file, Line: line}
	}
}

// texts are the scalars of a setting's node: one, or those of a list. A list
// may be written as one scalar with commas.
func (d *decoder) texts(f Field, value *yaml.Node) ([]string, bool) {
	switch {
	case isNull(value):
		d.fail(value, "%s: no value; give one or remove the line", f.Path)
	case value.Kind == yaml.ScalarNode:
		return f.split(value.Value), true
	case value.Kind == yaml.SequenceNode && f.List:
		texts := []string{}
		for _, item := range value.Content {
			item = resolve(item)
			if item.Kind != yaml.ScalarNode || isNull(item) {
				d.fail(item, "%s: %s in a list of plain values", f.Path, describe(item))
				return nil, false
			}
			texts = append(texts, item.Value)
		}
		return texts, true
	case f.List:
		d.fail(value, "%s: %s where a list was expected", f.Path, describe(value))
	default:
		d.fail(value, "%s: %s where one value was expected", f.Path, describe(value))
	}
	return nil, false
}

// resolve follows aliases. An alias that points at itself ends as it is.
func resolve(n *yaml.Node) *yaml.Node {
	for range 8 {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			return n
		}
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func describe(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.ScalarNode:
		return "a single value"
	}
	return "an alias"
}
