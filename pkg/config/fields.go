package config

import (
	"reflect"
	"strings"
)

// Field is one setting: a leaf of the tree of Config.
type Field struct {
	Path     string   // in the YAML tree: network.clusterCIDRs
	Flag     string   // without dashes: cluster-cidr
	Aliases  []string // other names of the flag
	Env      string   // KELP_CLUSTER_CIDR
	Kind     Kind     // what its values are
	List     bool     // holds any number of values
	Commas   bool     // a list whose values may hold commas: they do not separate
	Values   []string // all that an enumeration allows
	Scope    string   // node or cluster
	Change   string   // live, restart or never
	Secret   bool     // its value is never printed
	Help     string   // the doc comment without the field's name
	position []int    // in Config, for reflection
}

// Kind is what a field's values are, for help, documentation and the schema.
type Kind string

// The kinds of values.
const (
	KindString  Kind = "string"
	KindBool    Kind = "boolean"
	KindCount   Kind = "count"
	KindPort    Kind = "port"
	KindAddress Kind = "address"
	KindPrefix  Kind = "CIDR"
	KindRange   Kind = "port range"
	KindMode    Kind = "file mode"
	KindTime    Kind = "duration"
	KindEnum    Kind = "enumeration"
)

// Section is a group of fields: an inner node of the tree of Config.
type Section struct {
	Path string // network
	Help string
}

var fields, sections = walk()

// Fields lists every setting, in the order of the struct.
func Fields() []Field { return fields }

// Sections lists every group of settings, in the order of the struct.
func Sections() []Section { return sections }

// FieldByFlag finds a setting by its flag's name or one of its aliases.
func FieldByFlag(name string) (Field, bool) {
	for _, f := range fields {
		if f.Flag == name {
			return f, true
		}
		for _, a := range f.Aliases {
			if a == name {
				return f, true
			}
		}
	}
	return Field{}, false
}

// fieldByPath finds a setting by its place in the YAML tree.
func fieldByPath(path string) (Field, bool) {
	for _, f := range fields {
		if f.Path == path {
			return f, true
		}
	}
	return Field{}, false
}

func walk() (leaves []Field, groups []Section) {
	var visit func(t reflect.Type, prefix string, position []int)
	visit = func(t reflect.Type, prefix string, position []int) {
		for i := range t.NumField() {
			sf := t.Field(i)
			path := prefix + sf.Tag.Get("yaml")
			at := append(append([]int(nil), position...), i)
			flag := sf.Tag.Get("flag")
			if flag == "" {
				groups = append(groups, Section{Path: path, Help: help[path]})
				visit(sf.Type, path+".", at)
				continue
			}
			f := Field{
				Path: path, Flag: flag, Env: "KELP_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")),
				Commas: sf.Tag.Get("commas") == "keep",
				Scope:  sf.Tag.Get("scope"), Change: sf.Tag.Get("change"), Secret: sf.Tag.Get("secret") == "true",
				Help: help[path], position: at,
			}
			if alias := sf.Tag.Get("alias"); alias != "" {
				f.Aliases = strings.Split(alias, ",")
			}
			t := sf.Type
			if f.List = t.Kind() == reflect.Slice; f.List {
				t = t.Elem()
			}
			f.Kind, f.Values = kindOf(t)
			leaves = append(leaves, f)
		}
	}
	visit(reflect.TypeFor[Config](), "", nil)
	return leaves, groups
}
