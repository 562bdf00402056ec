package server

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

const (
	// hurried is the garbage collector's target while kelp starts: the heap
	// grows to its size once, and collecting it on the way would take a fifth
	// of the start's CPU. 200 bounds the peak to three times what is in use.
	hurried = 200
	// frugal is the target after that. What lives is mostly schemas and
	// caches that do not change, so collecting more often costs little CPU
	// and saves a third of the memory; docs/benchmarks.md has the figures.
	frugal = 40
	// calm is when the burst of the first pods is over, and what it left
	// behind can be given back.
	calm = 20 * time.Second
)

// hurry prepares the garbage collector for the start, unless the user has
// set it, as for any Go program, with GOGC.
func hurry() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(hurried)
	}
}

// settleMemory is the component that ends the hurry. It has its turn when all
// others are ready.
func settleMemory(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(frugal)
	}
	timer := time.NewTimer(calm)
	defer timer.Stop()
	select {
	case <-timer.C:
		debug.FreeOSMemory()
		<-ctx.Done()
	case <-ctx.Done():
	}
	return nil
}
