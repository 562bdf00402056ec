package nearest

import "strings"

// Name returns the candidate that was most likely meant by name, or "".
// Case, dashes and underscores do not count: nodename is node-name.
func Name(name string, candidates []string) string {
	best, bestAt := "", max(1, len(name)/3)+1
	for _, c := range candidates {
		if d := Distance(fold(name), fold(c)); d < bestAt && d < len(fold(c)) {
			best, bestAt = c, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(s))
}

// Distance is the number of inserted, deleted, replaced or swapped bytes that
// lead from a to b.
func Distance(a, b string) int {
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
