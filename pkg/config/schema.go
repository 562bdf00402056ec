package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// object is a piece of JSON schema.
type object map[string]any

// Patterns of the values that a schema can check. They are looser than kelp's
// own parsers: an editor's hint, not the judge.
const (
	patternAddress = `^[0-9A-Fa-f:.]+$`
	patternPrefix  = `^[0-9A-Fa-f:.]+/[0-9]{1,3}$`
	patternRange   = `^[0-9]{1,5}-[0-9]{1,5}$`
	patternMode    = `^0?[0-7]{1,4}$`
	patternTime    = `^([0-9.]+(h|m|s|ms))+$`
)

// Schema is the JSON schema (draft 2020-12) of the configuration file, for
// editors: the tree of sections and, at the top, the flags' names.
func Schema() ([]byte, error) {
	root := group("kelp's configuration file", "")
	top := root["properties"].(object)
	var lists []string
	for _, s := range sections {
		// A section may be left empty, as `node:` with nothing under it.
		section := group(s.Help, s.Path+".")
		section["type"] = []string{"object", "null"}
		top[s.Path] = section
	}
	for _, f := range fields {
		schema := f.schema()
		if section, isSection := top[f.Flag].(object); isSection {
			top[f.Flag] = object{"description": section["description"], "anyOf": []object{section, schema}}
		} else {
			top[f.Flag] = schema
		}
		if f.List {
			lists = append(lists, f.Flag)
		}
		for _, alias := range f.Aliases {
			if len(alias) > 1 {
				top[alias] = schema
			}
		}
	}
	addLists(root, "", lists)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render schema: %w", err)
	}
	return append(text, '\n'), nil
}

// group is the schema of the settings right under prefix.
func group(description, prefix string) object {
	properties := object{}
	for _, f := range fields {
		if rest, inside := strings.CutPrefix(f.Path, prefix); inside && !strings.Contains(rest, ".") {
			properties[rest] = f.schema()
		}
	}
	g := object{"description": description, "type": "object", "properties": properties, "additionalProperties": false}
	if prefix != "" {
		addLists(g, prefix, nil)
	}
	return g
}

// addLists allows name+ for the lists among a group's settings.
func addLists(g object, prefix string, names []string) {
	for _, f := range fields {
		if rest, inside := strings.CutPrefix(f.Path, prefix); f.List && inside && !strings.Contains(rest, ".") {
			names = append(names, rest)
		}
	}
	for i, n := range names {
		names[i] = regexp.QuoteMeta(n)
	}
	if len(names) > 0 {
		g["patternProperties"] = object{`^(` + strings.Join(names, "|") + `)\+$`: object{"type": []string{"array", "string"}}}
	}
}

func (f Field) schema() object {
	one := object{"type": "string"}
	switch f.Kind {
	case KindString: // any scalar is read as its text
		one = object{"type": []string{"string", "number", "boolean"}}
	case KindBool:
		one = object{"type": "boolean"}
	case KindCount:
		one = object{"type": "integer", "minimum": 0}
	case KindPort:
		one = object{"type": "integer", "minimum": 1, "maximum": 65535}
	case KindAddress:
		one["pattern"] = patternAddress
	case KindPrefix:
		one["pattern"] = patternPrefix
	case KindRange:
		one["pattern"] = patternRange
	case KindMode:
		one = object{"type": []string{"string", "integer"}, "pattern": patternMode}
	case KindTime:
		one["pattern"] = patternTime
	case KindEnum:
		one["enum"] = f.Values
	}
	if f.List {
		one = object{"type": []string{"array", "string"}, "items": one}
	}
	one["description"] = f.Help
	if f.Secret {
		one["writeOnly"] = true
	}
	if d := f.plainJSON(Default()); d != "" && !f.Secret {
		if list, isList := d.([]string); !isList || len(list) > 0 {
			one["default"] = d
		}
	}
	return one
}
