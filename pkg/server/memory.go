package server

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// unhurried is how much memory the process takes from the system, in bytes,
	// before the garbage collector has its first turn. A start needs that much
	// anyway, and would mark the same schemas a dozen times on the way there:
	// a sixth of the time to a ready node on two cores. What is garbage by
	// then is used again, so that it costs no memory in the end.
	unhurried = 224 << 20
	// hurried is the garbage collector's target from then until all is ready.
	// More would make the start a little faster, and leave half-empty pages
	// behind that are never given back: 200 cost 50 MB for good.
	hurried = 50
	// frugal is the target after that. What lives is mostly schemas and
	// caches that do not change, so collecting more often costs little CPU.
	frugal = 20
	// calm is when the burst of the first pods is over, and what it left
	// behind can be given back.
	calm = 20 * time.Second
)

// hurry prepares the garbage collector for the start, unless the user has
// set it, as for any Go program, with GOGC or GOMEMLIMIT.
func hurry() {
	if userCollects() {
		return
	}
	debug.SetGCPercent(-1)
	none := debug.SetMemoryLimit(unhurried)
	// What nothing refers to is found by the first collection.
	runtime.AddCleanup(new([64]byte), func(limit int64) {
		target(hurried)
		debug.SetMemoryLimit(limit)
	}, none)
}

// collector is the process's one garbage collector.
var collector struct {
	sync.Mutex
	target int // percent, 0 before the first collection
}

// target sets the collector's target, which only ever falls: the first
// collection may be late.
func target(percent int) {
	collector.Lock()
	defer collector.Unlock()
	if collector.target == 0 || percent < collector.target {
		collector.target = percent
		debug.SetGCPercent(percent)
	}
}

func userCollects() bool { return os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" }

// settleMemory is the component that ends the hurry. It has its turn when all
// others are ready.
func settleMemory(ctx context.Context) error {
	if !userCollects() {
		target(frugal)
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
