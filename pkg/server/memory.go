package server

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

const (
	// hurried is the garbage collector's target while kelp starts. More would
	// make the start a little faster, and leave half-empty pages behind that
	// are never given back: 200 cost 50 MB for good.
	hurried = 50
	// frugal is the target after that. What lives is mostly schemas and
	// caches that do not change, so collecting more often costs little CPU.
	frugal = 20
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
