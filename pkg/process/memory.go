package process

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

const (
	// frugal is the collector's target at rest, in percent. What lives is
	// mostly schemas and caches that do not change, so collecting more often
	// costs little CPU. A higher target for all of the start leaves half-empty
	// pages behind that are never given back: 50 cost 12 MB for good, 200 cost
	// 50 MB.
	frugal = 20
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
		follow(lasting)
		debug.SetMemoryLimit(none)
	})
}

// follow sets the collector's target by what lives, after this collection and
// those that follow, until it is frugal.
func follow(lasting int64) {
	percent := targetFor(live(), lasting)
	debug.SetGCPercent(percent)
	if percent > frugal {
		afterCollection(func() { follow(lasting) })
	}
}

// targetFor is the target in percent that has the heap grow to lasting bytes.
func targetFor(live, lasting int64) int {
	return max(frugal, int(100*(lasting-live)/max(live, 1)))
}

// live is how many bytes the last collection has found to live.
func live() int64 { return measure("/gc/heap/live:bytes") }

// afterCollection calls do after the next one, which is what finds a thing that
// nothing refers to.
func afterCollection(do func()) {
	runtime.AddCleanup(new([64]byte), func(do func()) { do() }, do)
}

// SettleMemory gives back what the start has left behind, and then has the collector
// work by what there is to do: it is the component that has its turn when all others
// are ready. It returns when ctx ends.
func SettleMemory(ctx context.Context) error {
	if poll.Pause(ctx, calm); ctx.Err() != nil {
		return nil
	}
	debug.FreeOSMemory()
	if chosen() {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	p, before := pace{}, made()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := made()
		was := p.generous
		if p.after(now - before); p.generous != was {
			debug.SetGCPercent(p.percent())
			if was {
				debug.FreeOSMemory()
			}
		}
		before = now
	}
}

const (
	// generous is the collector's target in a burst of work, in percent: Go's own.
	// With the frugal one, a Deployment of 40 pods took 11 to 13 seconds and not 8 to 10.
	generous = 100
	// burst and rest are how many bytes are made in a second of a burst, and after
	// it: an idle server makes 1.3 MB, and one that has just got 40 pods 6 MB.
	burst, rest = 16 << 20, 8 << 20
	// lull is how many seconds of rest end a burst.
	lull = 10
)

// pace is how hard the process works.
type pace struct {
	generous bool
	resting  int // seconds
}

// after is told how many bytes were made in another second.
func (p *pace) after(bytes int64) {
	switch {
	case bytes >= burst:
		p.generous, p.resting = true, 0
	case bytes >= rest:
		p.resting = 0
	default:
		if p.resting++; p.resting >= lull {
			p.generous = false
		}
	}
}

func (p *pace) percent() int {
	if p.generous {
		return generous
	}
	return frugal
}

// chosen says that the user has set the collector, as for any Go program.
func chosen() bool { return os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" }

// made is how many bytes have been allocated since the process began.
func made() int64 { return measure("/gc/heap/allocs:bytes") }

func measure(name string) int64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
