package document

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	kjson "sigs.k8s.io/json"
	kyaml "sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/pkg/internal/nearest"
)

var (
	quotedField = regexp.MustCompile(`^(unknown|duplicate) field "([^"]+)"`)
	wrongKind   = regexp.MustCompile(`json: cannot unmarshal (\S+) into Go struct field \S*?\.([\w.]+) of type (\S+)`)
)

// Decode reads the document strictly into a pointer to a struct with JSON tags, and
// returns everything that is wrong with it. Gone says what came of fields that there
// are none of any more, by their last name; it may be nil.
func (d *Document) Decode(into any, gone map[string]string) []error {
	asJSON, err := kyaml.YAMLToJSONStrict(d.data)
	if err != nil {
		return []error{d.syntax(err)}
	}
	strict, err := kjson.UnmarshalStrict(asJSON, into)
	if err != nil {
		if m := wrongKind.FindStringSubmatch(err.Error()); m != nil {
			return []error{d.Errorf(m[2], "%s: a %s where %s was expected", m[2], m[1], m[3])}
		}
		return []error{fmt.Errorf("%s: %w", d.Path, err)}
	}
	slices.SortStableFunc(strict, func(a, b error) int { return d.lineOf(a) - d.lineOf(b) })
	var errs []error
	for _, err := range strict {
		errs = append(errs, d.explain(err, reflect.TypeOf(into), gone))
	}
	return errs
}

// lineOf is the line of the field that the strict decoder complains of.
func (d *Document) lineOf(err error) int {
	m := quotedField.FindStringSubmatch(err.Error())
	if m == nil {
		return 0
	}
	_, line := d.find(m[2])
	return line
}

func (d *Document) explain(err error, of reflect.Type, gone map[string]string) error {
	m := quotedField.FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	field := m[2]
	if m[1] == "duplicate" {
		return d.Errorf(field, "%s is given twice", field)
	}
	all := steps(field)
	if what, known := gone[all[len(all)-1]]; known {
		return d.Errorf(field, "%s %s", field, what)
	}
	what := fmt.Sprintf("%s has no field %q", d.Kind, field)
	if near := nearest.Name(all[len(all)-1], fieldsOf(of, all[:len(all)-1])); near != "" {
		what += fmt.Sprintf("; did you mean %s?", near)
	}
	return d.Errorf(field, "%s", what)
}

// fieldsOf are the JSON names of the fields of the struct to which the steps lead.
func fieldsOf(t reflect.Type, steps []string) []string {
	t = settle(t)
	for _, step := range steps {
		switch t.Kind() {
		case reflect.Slice, reflect.Map:
			t = settle(t.Elem())
		case reflect.Struct:
			next, ok := fieldNamed(t, step)
			if !ok {
				return nil
			}
			t = settle(next)
		default:
			return nil
		}
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

func fieldNamed(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag == name {
			return t.Field(i).Type, true
		}
	}
	return nil, false
}

func settle(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
