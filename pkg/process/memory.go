package process

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// frugal is the collector's target after that, in percent. What lives is
	// mostly schemas and caches that do not change, so collecting more often
	// costs little CPU. A higher target for the rest of the start leaves
	// half-empty pages behind that are never given back: 50 cost 12 MB for
	// good, 200 cost 50 MB.
	frugal = 20
	// calm is when the burst of the first pods is over, and what it left
	// behind can be given back.
	calm = 20 * time.Second
)

// Hurry prepares the garbage collector for the start, unless the user has
// set it, as for any Go program, with GOGC or GOMEMLIMIT. Its first turn comes
// when the process has taken so many bytes from the system: a start needs them
// anyway, and would mark the same schemas a dozen times on the way there, which
// is a sixth of the time to a ready node on two cores.
func Hurry(first int64, debugging bool) {
	if !debugging {
		// Nobody can ask for the profile: its endpoint comes with debug.
		runtime.MemProfileRate = 0
	}
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(-1)
	none := debug.SetMemoryLimit(first)
	// What nothing refers to is found by the first collection.
	runtime.AddCleanup(new([64]byte), func(limit int64) {
		debug.SetGCPercent(frugal)
		debug.SetMemoryLimit(limit)
	}, none)
}

// SettleMemory gives back what the start has left behind: it is the component
// that has its turn when all others are ready. It returns when ctx ends.
func SettleMemory(ctx context.Context) error {
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
