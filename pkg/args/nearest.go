package args

import (
	"slices"
	"strings"
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
		if d := distance(name, c); d < bestAt {
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

// distance is the number of inserted, deleted, replaced or swapped
// neighbouring bytes that lead from a to b.
func distance(a, b string) int {
	before, row := []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
