package process

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Heartbeat tells systemd every so often that the process is alive, where the
// unit has a WatchdogSec; systemd ends a process that does not say so. It begins
// before there is a supervisor: a process that has executed itself anew is the
// one that systemd watches already, and moves its datastore first.
type Heartbeat struct {
	alive atomic.Pointer[func() bool]
	stop  context.CancelFunc
	beat  sync.WaitGroup
}

// StartHeartbeat begins. The caller must call Stop.
func StartHeartbeat() *Heartbeat {
	ctx, cancel := context.WithCancel(context.Background())
	h := &Heartbeat{stop: cancel}
	h.Follow(func() bool { return true })
	h.beat.Go(func() { watchdog(ctx, func() bool { return (*h.alive.Load())() }) })
	return h
}

// Follow has alive decide from now on. A call that does not return is as good
// as one that says no.
func (h *Heartbeat) Follow(alive func() bool) { h.alive.Store(&alive) }

// Stop ends it.
func (h *Heartbeat) Stop() {
	h.stop()
	h.beat.Wait()
}

// watchdog tells systemd that the process is alive, for as long as alive says
// so, until ctx ends. It returns at once where the unit has no WatchdogSec.
func watchdog(ctx context.Context, alive func() bool) {
	if watchdogLimit == 0 {
		return
	}
	// A third: sd_watchdog_enabled(3) asks for a half, and one may be late.
	tick := time.NewTicker(watchdogLimit / 3)
	defer tick.Stop()
	for {
		if alive() {
			Notify(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
