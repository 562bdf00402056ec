package config

import "strings"

// suggestKey ends the error about an unknown key: the nearest known key, or
// the section in which the key would be right.
func suggestKey(prefix, name string) string {
	var here, flags []string
	for _, s := range sections {
		if prefix == "" {
			here = append(here, s.Path)
		}
	}
	for _, f := range fields {
		flags = append(flags, f.Flag)
		rest, inside := strings.CutPrefix(f.Path, prefix)
		if inside && !strings.Contains(rest, ".") {
			here = append(here, rest)
		}
		if rest == name || f.Path[strings.LastIndex(f.Path, ".")+1:] == name || f.Flag == name {
			return "; did you mean " + f.Path + "?"
		}
	}
	if prefix == "" {
		here = append(here, flags...)
	}
	if n := nearest(name, here); n != "" {
		return "; did you mean " + prefix + n + "?"
	}
	return didYouMean(name, flags)
}
