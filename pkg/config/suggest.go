package config

import (
	"slices"
	"strings"

	"github.com/kelp-project/kelp/pkg/internal/nearest"
)

// suggestKey ends the error about an unknown key: the nearest known key, or
// the section in which the key would be right.
func suggestKey(prefix, name string) string {
	var here, flags, leaves []string
	for _, s := range sections {
		if prefix == "" {
			here = append(here, s.Path)
		}
	}
	for _, f := range fields {
		leaf := f.Path[strings.LastIndex(f.Path, ".")+1:]
		flags, leaves = append(flags, f.Flag), append(leaves, leaf)
		rest, inside := strings.CutPrefix(f.Path, prefix)
		if inside && !strings.Contains(rest, ".") {
			here = append(here, rest)
		}
		if rest == name || leaf == name || f.Flag == name {
			return "; did you mean " + f.Path + "?"
		}
	}
	if prefix == "" {
		here = append(here, flags...)
	}
	if n := nearest.Name(name, here); n != "" {
		return "; did you mean " + prefix + n + "?"
	}
	if n := nearest.Name(name, leaves); n != "" {
		return "; did you mean " + fields[slices.Index(leaves, n)].Path + "?"
	}
	return didYouMean(name, flags)
}

// didYouMean ends an error about an unknown name.
func didYouMean(name string, candidates []string) string {
	if n := nearest.Name(name, candidates); n != "" {
		return "; did you mean " + n + "?"
	}
	return ""
}
