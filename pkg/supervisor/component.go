package supervisor

import "context"

// Component is one part of kelp with a life of its own.
type Component struct {
	// Name is the unit of status, logs and the start order.
	Name string
	// After names what must be ready before this starts; it is stopped before them.
	After []string
	// Run blocks until ctx ends, cleans up and returns. Returning is having stopped.
	Run func(ctx context.Context) error
	// Ready is polled until it returns nil, and watched after that. Without
	// one the component is ready as soon as Run has been called.
	Ready func(ctx context.Context) error
	// Tell, if there is one, is what status says of it while it is ready.
	Tell func() string
	// Once marks a step: its Run ends by itself, and that makes it ready.
	Once bool
	// Skip, if not empty, says why this component is not run in this mode.
	Skip string
}

// Skipped is a component that is listed, with the reason, but not run.
func Skipped(name, reason string) Component { return Component{Name: name, Skip: reason} }
