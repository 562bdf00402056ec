package latest

import (
	"context"
	"fmt"
	"sync"
)

// Value is a value of type T that is set later, possibly more than once. The
// zero value is empty and ready for use. It is safe for concurrent use.
type Value[T any] struct {
	mu      sync.Mutex
	value   T
	set     bool
	changed chan struct{}
}

// New returns an empty Value.
func New[T any]() *Value[T] { return &Value[T]{} }

// Of returns a Value that already holds value.
func Of[T any](value T) *Value[T] {
	v := New[T]()
	v.Set(value)
	return v
}

// Set stores value and wakes everyone who waits in Get or on Changed.
func (v *Value[T]) Set(value T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.value, v.set = value, true
	if v.changed != nil {
		close(v.changed)
		v.changed = nil
	}
}

// Get returns the newest value, waiting for the first one if there is none
// yet. It returns an error that wraps ctx's when ctx ends first.
func (v *Value[T]) Get(ctx context.Context) (T, error) {
	for {
		value, ok, changed := v.Peek()
		if ok {
			return value, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return value, fmt.Errorf("wait for %T: %w", value, ctx.Err())
		}
	}
}

// Peek returns the newest value, whether there is one, and a channel that is
// closed at the next Set.
func (v *Value[T]) Peek() (value T, ok bool, changed <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.changed == nil {
		v.changed = make(chan struct{})
	}
	return v.value, v.set, v.changed
}
