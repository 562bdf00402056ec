package process

import (
	"context"
	"errors"
	"runtime"
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

// The collector is generous in a burst, through its short pauses, and until some
// seconds after it.
func TestPace(t *testing.T) {
	t.Parallel()
	const idle, between, busy = 1 << 20, 12 << 20, 100 << 20
	var p pace
	seconds := func(bytes int64, n, want int) {
		t.Helper()
		for range n {
			p.after(bytes)
			if got := p.percent(); got != want {
				t.Fatalf("%d after a second with %d bytes, want %d", got, bytes, want)
			}
		}
	}
	seconds(idle, 60, frugal)
	seconds(between, 60, frugal)
	seconds(busy, 3, generous)
	seconds(idle, lull-1, generous)
	seconds(between, 1, generous)
	seconds(idle, lull-1, generous)
	seconds(idle, 60, frugal)
	seconds(busy, 1, generous)
}

// What the runtime calls its figures is not checked when this is compiled.
func TestMade(t *testing.T) {
	t.Parallel()
	before := made()
	block := make([]byte, 1<<20)
	if now := made(); now-before < int64(len(block)) {
		t.Errorf("%d bytes more after a megabyte", now-before)
	}
	runtime.KeepAlive(block)
}
