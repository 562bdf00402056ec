package args

import (
	"slices"
	"strings"

	"github.com/kelp-project/kelp/pkg/internal/nearest"
)

// nearest returns the known name that the user most likely meant, or "".
// Owned and removed names are not offered: the user may not set them.
func (s *Set) nearest(name string, known func(string) bool) string {
	candidates := slices.Clone(s.suggest)
	for key := range s.entries {
		candidates = append(candidates, key)
	}
	slices.Sort(candidates)
	best, bestAt := "", max(2, len(name)/4)+1
	for _, c := range candidates {
		if !s.allowed(c) || !known(c) {
			continue
		}
		if d := nearest.Distance(name, c); d < bestAt {
			best, bestAt = c, d
		}
	}
	if best != "" {
		return best
	}
	// A name that was cut short, such as audit-policy for audit-policy-file.
	for _, c := range candidates {
		if strings.HasPrefix(c, name+"-") && s.allowed(c) && known(c) {
			return c
		}
	}
	return ""
}

// allowed tells whether the user may set the name.
func (s *Set) allowed(name string) bool {
	e, ok := s.entries[name]
	_, removed := s.removed[name]
	return !removed && !(ok && e.Policy == PolicyOwned)
}
