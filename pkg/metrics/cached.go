package metrics

import (
	"sync"
	"time"
)

// Cached returns what get returned last, and asks again when that is older than
// an age. While get fails the last is kept.
func Cached[T any](age time.Duration, get func() (T, error)) func() T {
	var mu sync.Mutex
	var last T
	var at time.Time
	return func() T {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(at) >= age {
			if now, err := get(); err == nil {
				last = now
			}
			at = time.Now()
		}
		return last
	}
}
