package process

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

func TestTargetFor(t *testing.T) {
	t.Parallel()
	const lasting = 104 << 20
	for _, c := range []struct {
		live int64
		want int
	}{
		{0, 100 * lasting}, // no collection has been
		{52 << 20, 100},
		{80 << 20, 30},
		{90 << 20, frugal}, // by 15 it would be there
		{104 << 20, frugal},
		{200 << 20, frugal}, // more lives than was thought
	} {
		if got := targetFor(c.live, lasting); got != c.want {
			t.Errorf("with %d MB that live: %d, want %d", c.live>>20, got, c.want)
		}
	}
}

// What is to be done after a collection is done once, whoever has asked for it.
func TestAfterCollection(t *testing.T) {
	t.Parallel()
	var times atomic.Int32
	afterCollection(func() { times.Add(1) })
	if err := poll.Until(t.Context(), 10*time.Second, func(context.Context) error {
		runtime.GC()
		if times.Load() == 0 {
			return errors.New("nothing was called")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	if live() <= 0 || times.Load() != 1 {
		t.Errorf("%d bytes live, called %d times", live(), times.Load())
	}
}

// Once the start is over the collector's target is another one, unless the user has
// chosen it.
func TestSettleSetsTheTarget(t *testing.T) {
	for chosen, want := range map[string]int{"": settled, "70": frugal} {
		t.Setenv("GOGC", chosen)
		before := debug.SetGCPercent(frugal)
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		var h haste
		if err := h.settle(ctx, time.Millisecond); err != nil {
			t.Fatal(err)
		}
		stop()
		if chosen == "" {
			h.follow(1 << 50) // a collection that was waited for at the start
		}
		if got := debug.SetGCPercent(before); got != want {
			t.Errorf("with GOGC=%q the target is %d, want %d", chosen, got, want)
		}
	}
}
