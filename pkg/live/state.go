package live

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
)

// State is what is known of the configuration of a running process.
type State struct {
	File         string            `json:"file"`
	Problem      string            `json:"problem,omitempty"`      // why the sources, as they are, are not taken
	NeedsRestart []config.Change   `json:"needsRestart,omitempty"` // what the sources say and the process does not do
	Applied      []config.Change   `json:"applied,omitempty"`      // what was last taken
	Failed       map[string]string `json:"failed,omitempty"`       // why a part of kelp has not taken it, by its name
	Trial        *time.Time        `json:"trial,omitempty"`        // when the file becomes what it was
	Loaded       time.Time         `json:"loaded,omitzero"`        // when the sources were last taken
}

// line is the state on one line, empty when there is nothing to say.
func (s State) line(now time.Time) string {
	var parts []string
	if s.Trial != nil {
		parts = append(parts, fmt.Sprintf("on trial for %s more: kelp config confirm keeps it", max(0, s.Trial.Sub(now)).Round(time.Second)))
	}
	if s.Problem != "" {
		first, rest, more := strings.Cut(s.Problem, "\n")
		if more {
			first += fmt.Sprintf(" (and %d more)", strings.Count(rest, "\n")+1)
		}
		parts = append(parts, "NOT TAKEN: "+first)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Failed)) {
		parts = append(parts, "not applied to "+name+": "+s.Failed[name])
	}
	if len(s.NeedsRestart) > 0 {
		parts = append(parts, "needs restart: "+strings.Join(config.Settings(s.NeedsRestart), ", "))
	}
	return strings.Join(parts, "; ")
}
