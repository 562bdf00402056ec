package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Origin is where a value came from. The zero value is the default.
type Origin struct {
	File     string // a configuration file, with Line
	Line     int
	Env      string // a variable of the environment
	Flag     string // a flag of the command line, without dashes
	Machine  bool   // worked out by Complete
	Extended bool   // a file's key+ added to what an earlier file had said
}

// Origins are the origins of the values that are not defaults, by the path of
// their field, and those of single arguments of components as path[index].
type Origins map[string]Origin

// String names the origin as a user knows it: config.yaml:14, KELP_TOKEN,
// --token, computed or default.
func (o Origin) String() string {
	switch {
	case o.File != "":
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	case o.Env != "":
		return o.Env
	case o.Flag != "":
		return "--" + o.Flag
	case o.Machine:
		return "computed"
	}
	return "default"
}

// WithMachine adds the origin of what Complete changed between before and
// after, and returns the whole as a new map.
func (o Origins) WithMachine(before, after Config) Origins {
	all := make(Origins, len(o))
	for path, origin := range o {
		all[path] = origin
	}
	for _, f := range fields {
		if !reflect.DeepEqual(f.value(&before).Interface(), f.value(&after).Interface()) {
			if _, given := all[f.Path]; !given {
				all[f.Path] = Origin{Machine: true}
			}
		}
	}
	return all
}

// where begins an error about a field: the place where the user can change
// it, and its path where that place does not name it.
func (o Origins) where(path string) string {
	origin, given := o[path]
	switch {
	case !given, origin.Machine:
		return path
	case origin.File != "":
		return origin.String() + ": " + path
	}
	return origin.String()
}

// Take returns the origins with those of these paths as others have them.
func (o Origins) Take(from Origins, paths []string) Origins {
	all := make(Origins, len(o))
	for path, origin := range o {
		all[path] = origin
	}
	for _, path := range paths {
		if origin, given := from[path]; given {
			all[path] = origin
		} else {
			delete(all, path)
		}
	}
	return all
}

// item is the key of one value of a list.
func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// forget drops the origins of a list's values from the index on.
func (o Origins) forget(path string, from int) {
	for i := from; ; i++ {
		if _, noted := o[item(path, i)]; !noted {
			return
		}
		delete(o, item(path, i))
	}
}

// Argument says where the user has given an argument of a component, whose name is
// upstream's: config.yaml:14, or the flag or variable that has it. It is "" for what
// nobody has given.
func (o Origins) Argument(cfg Config, component, argument string) string {
	for _, f := range fields {
		name := strings.TrimSuffix(f.Flag, "-arg")
		if !f.Commas || name != component {
			continue
		}
		i := slices.Index(f.plain(cfg), argument)
		if i < 0 {
			return ""
		}
		if origin, noted := o[item(f.Path, i)]; noted {
			return origin.String()
		}
		if origin, given := o[f.Path]; given {
			return origin.String()
		}
	}
	return ""
}
