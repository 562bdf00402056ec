package process

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// frugal is the collector's target in the end, in percent. What lives is
	// mostly schemas and caches that do not change, so collecting more often
	// costs little CPU. A higher target for all of the start leaves half-empty
	// pages behind that are never given back: 50 cost 12 MB for good, 200 cost
	// 50 MB.
	frugal = 20
	// settled is the target from then on. With 20, collections are a quarter of what
	// the idle process computes; each percent more saves some of it, and costs a
	// megabyte.
	settled = 28
	// calm is when the burst of the first pods is over, and what it left
	// behind can be given back.
	calm = 20 * time.Second
)

// Hurry prepares the garbage collector for the start, unless the user has
// set it, as for any Go program, with GOGC or GOMEMLIMIT. Its first turn comes
// when the process has taken so many bytes from the system: a start needs them
// anyway, and would mark the same schemas a dozen times on the way there, which is
// a sixth of the time to a ready node on two cores. The heap is let grow to what
// lives in it in the end, lasting bytes, before each of the next turns: pages that
// are full then cost nothing, and there are half as many turns.
func Hurry(first, lasting int64, debugging bool) {
	if !debugging {
		// Nobody can ask for the profile: its endpoint comes with debug.
		runtime.MemProfileRate = 0
	}
	if chosen() {
		return
	}
	debug.SetGCPercent(-1)
	none := debug.SetMemoryLimit(first)
	afterCollection(func() {
		hurry.follow(lasting)
		debug.SetMemoryLimit(none)
	})
}

// chosen says whether the user has set the collector.
func chosen() bool { return os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" }

// haste is while the collector goes by what lives.
type haste struct {
	mu   sync.Mutex
	over bool
}

// hurry is that of the process.
var hurry haste

// follow sets the collector's target by what lives, after this collection and
// those that follow, until it is frugal or the start is over.
func (h *haste) follow(lasting int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	percent := targetFor(live(), lasting)
	debug.SetGCPercent(percent)
	if percent > frugal {
		afterCollection(func() { h.follow(lasting) })
	}
}

// end sets the target for good.
func (h *haste) end(percent int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	debug.SetGCPercent(percent)
}

// targetFor is the target in percent that has the heap grow to lasting bytes.
func targetFor(live, lasting int64) int {
	return max(frugal, int(100*(lasting-live)/max(live, 1)))
}

// live is how many bytes the last collection has found to live.
func live() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// afterCollection calls do after the next one, which is what finds a thing that
// nothing refers to.
func afterCollection(do func()) {
	runtime.AddCleanup(new([64]byte), func(do func()) { do() }, do)
}

// SettleMemory gives back what the start has left behind: it is the component
// that has its turn when all others are ready. It returns when ctx ends.
func SettleMemory(ctx context.Context) error { return hurry.settle(ctx, calm) }

func (h *haste) settle(ctx context.Context, after time.Duration) error {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
		debug.FreeOSMemory()
		if !chosen() {
			h.end(settled)
		}
		<-ctx.Done()
	case <-ctx.Done():
	}
	return nil
}
