package config

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestSchema holds the corpus against the schema with a checker of the few
// words of JSON schema that it uses: no good file may be refused, and an
// editor must see the mistakes that a schema can tell.
func TestSchema(t *testing.T) {
	t.Parallel()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	problem := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := yaml.Unmarshal(text, &value); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if value == nil {
			return "" // an empty file
		}
		return against(schema, value, "")
	}
	for _, path := range corpus(t, "*.good.yaml", 5) {
		if p := problem(path); p != "" {
			t.Errorf("the schema refuses %s: %s", path, p)
		}
	}
	for _, name := range []string{
		"unknown-key", "unknown-key-in-section", "unknown-section", "key-of-another-section", "wrong-case", "flag-inside-section", "plus-unknown", "plus-on-value",
		"list-for-value", "mapping-for-value", "mapping-for-list", "mapping-in-list", "scalar-for-section", "bool-yes", "bool-number",
		"port-zero", "port-large", "log-level", "backend", "datastore-kind", "datastore-kind-nested", "snapshotter", "bind-name",
	} {
		path := "testdata/" + name + ".bad.yaml"
		if problem(path) == "" {
			t.Errorf("the schema lets %s pass", path)
		}
	}
}

// against checks a value and returns the first problem.
func against(schema map[string]any, value any, at string) string {
	if options, ok := schema["anyOf"].([]any); ok {
		first := ""
		for _, o := range options {
			p := against(o.(map[string]any), value, at)
			if p == "" {
				return ""
			}
			first = p
		}
		return first
	}
	if types := stringsOf(schema["type"]); types != nil && !slices.ContainsFunc(types, func(name string) bool { return isType(name, value) }) {
		return fmt.Sprintf("%s: %v is not %v", at, value, types)
	}
	if enum := stringsOf(schema["enum"]); enum != nil && !slices.Contains(enum, fmt.Sprint(value)) {
		return fmt.Sprintf("%s: %v is not one of %v", at, value, enum)
	}
	switch v := value.(type) {
	case string:
		if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			return fmt.Sprintf("%s: %q does not match %s", at, v, p)
		}
	case int:
		least, hasLeast := schema["minimum"].(float64)
		most, hasMost := schema["maximum"].(float64)
		if hasLeast && float64(v) < least || hasMost && float64(v) > most {
			return fmt.Sprintf("%s: %d is out of bounds", at, v)
		}
	case []any:
		for i, item := range v {
			if items, ok := schema["items"].(map[string]any); ok {
				if p := against(items, item, fmt.Sprintf("%s[%d]", at, i)); p != "" {
					return p
				}
			}
		}
	case map[string]any:
		return againstObject(schema, v, at)
	}
	return ""
}

func againstObject(schema, value map[string]any, at string) string {
	properties, _ := schema["properties"].(map[string]any)
	patterns, _ := schema["patternProperties"].(map[string]any)
	for _, key := range sortedKeys(value) {
		inner, known := properties[key].(map[string]any)
		for p, s := range patterns {
			if regexp.MustCompile(p).MatchString(key) {
				inner, known = s.(map[string]any), true
			}
		}
		if !known {
			return fmt.Sprintf("%s: unknown key %s", at, key)
		}
		if p := against(inner, value[key], at+"."+key); p != "" {
			return p
		}
	}
	return ""
}

func stringsOf(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, item := range v {
			list = append(list, fmt.Sprint(item))
		}
	}
	return list
}

func isType(name string, value any) bool {
	if value == nil {
		return name == "null"
	}
	kinds := map[string][]reflect.Kind{
		"string": {reflect.String}, "boolean": {reflect.Bool}, "integer": {reflect.Int}, "number": {reflect.Int, reflect.Float64},
		"array": {reflect.Slice}, "object": {reflect.Map},
	}
	return slices.Contains(kinds[name], reflect.TypeOf(value).Kind())
}
