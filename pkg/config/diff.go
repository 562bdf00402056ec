package config

import (
	"slices"
	"strings"
)

// When a new value of a setting takes effect.
const (
	Live    = "live"
	Restart = "restart"
	Never   = "never"
)

// Change is a setting that has two values.
type Change struct {
	Setting string `json:"setting"`
	Old     string `json:"old"` // secrets redacted, lists separated as in the environment
	New     string `json:"new"`
	Takes   string `json:"change"` // live, restart or never
	Scope   string `json:"scope"`
	Origin  string `json:"origin"` // of the new value
}

// Diff lists the settings in which two completed configurations differ, in the
// order of the struct. What was worked out from the machine on both sides is
// not among them: that is no change of anybody's.
func Diff(old Config, was Origins, now Config, origins Origins) []Change {
	var changes []Change
	for _, f := range fields {
		if slices.Equal(f.plain(old), f.plain(now)) || derived(f, was, origins) {
			continue
		}
		changes = append(changes, Change{
			Setting: f.Path, Old: f.text(old), New: f.text(now),
			Takes: f.Change, Scope: f.Scope, Origin: origins[f.Path].String(),
		})
	}
	return changes
}

func derived(f Field, was, origins Origins) bool {
	return was[f.Path].Machine && origins[f.Path].Machine
}

// Settings are the paths of changes.
func Settings(changes []Change) []string {
	paths := make([]string, len(changes))
	for i, c := range changes {
		paths[i] = c.Setting
	}
	return paths
}

// Take returns the configuration with the settings of these paths as another
// one has them.
func (c Config) Take(from Config, paths []string) Config {
	for _, f := range fields {
		if slices.Contains(paths, f.Path) {
			f.value(&c).Set(f.value(&from)) // lists may be shared: nobody writes to them
		}
	}
	return c
}

// text is the field's value on one line.
func (f Field) text(c Config) string {
	separator := ","
	if f.Commas {
		separator = " "
	}
	return strings.Join(f.Strings(c), separator)
}
