package pki

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// wall is a clock that can be set, and that knows how often it was looked at.
type wall struct{ ahead, looks atomic.Int64 }

func (w *wall) now() time.Time {
	w.looks.Add(1)
	return time.Now().Add(time.Duration(w.ahead.Load()))
}

func (w *wall) set(ahead time.Duration) { w.ahead.Store(int64(ahead)) }

// validAt says which leaf is not valid.
func validAt(e *Engine, now time.Time) error {
	found, err := Read(e.table)
	if err != nil {
		return err
	}
	for _, entry := range e.table {
		if c := found[entry.Name].Chain[0]; now.Before(c.NotBefore) || now.After(c.NotAfter) {
			err = errors.Join(err, fmt.Errorf("%s is valid from %s to %s, and it is %s", entry.Name, c.NotBefore, c.NotAfter, now))
		}
	}
	return err
}

// A machine without a clock of its own starts in the past, and is set while kelp
// runs: ahead, by more than certificates live, and back. There are valid ones at once.
func TestTheClockIsSetWhileRunning(t *testing.T) {
	t.Parallel()
	var clock wall
	e := testEngine(t)
	e.now = clock.now
	clock.set(-400 * day)
	ensure(t, e)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.run(ctx, time.Millisecond) }()
	began := clock.looks.Load()
	if err := poll.Until(t.Context(), 20*time.Second, func(context.Context) error {
		if clock.looks.Load() < began+100 { // more than it looks at before it waits
			return errors.New("it does not look at the clock")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []time.Duration{0, time.Hour, 366 * day, -day} {
		clock.set(ahead)
		if err := poll.Until(t.Context(), 20*time.Second, func(context.Context) error { return validAt(e, clock.now()) }); err != nil {
			t.Errorf("set to %s: %v", ahead, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A first start by a clock that is kept in local time, east of Greenwich: the cluster
// that it has made is good when the clock is set back.
func TestAFirstStartWithAClockThatIsAhead(t *testing.T) {
	t.Parallel()
	var clock wall
	e := testEngine(t)
	e.now = clock.now
	clock.set(14 * time.Hour)
	ensure(t, e)
	clock.set(0)
	ensure(t, e)
	if err := validAt(e, time.Now()); err != nil {
		t.Error(err)
	}
	if err := validAt(e, time.Now().Add(-59*time.Minute)); err != nil {
		t.Errorf("on a machine whose clock is an hour behind: %v", err)
	}
}
