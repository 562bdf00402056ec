package tally

import (
	"maps"
	"sync"
)

// Key is what is counted: of what, and how it ended.
type Key struct{ What, Result string }

// Tally counts. It is safe for concurrent use.
type Tally struct {
	mu     sync.Mutex
	counts map[Key]uint64
}

// New returns a tally that says 0 of each of these, so that it is known that they
// can happen.
func New(what, results []string) *Tally {
	t := &Tally{counts: map[Key]uint64{}}
	for _, w := range what {
		for _, r := range results {
			t.counts[Key{w, r}] = 0
		}
	}
	return t
}

// Add counts one.
func (t *Tally) Add(what, result string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[Key{what, result}]++
}

// Counts returns a copy.
func (t *Tally) Counts() map[Key]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}
