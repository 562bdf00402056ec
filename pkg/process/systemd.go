package process

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notify tells systemd something, if systemd started this process. That it
// cannot be told is nothing that anybody could do something about.
func Notify(state string) { _, _ = daemon.SdNotify(false, state) }

// NotifyReady tells systemd that the start is over.
func NotifyReady() { Notify(daemon.SdNotifyReady) }

// NotifyStatus sets the line that systemctl status shows.
func NotifyStatus(line string) { Notify("STATUS=" + line) }

// Watchdog tells systemd every so often that the process is alive, for as
// long as alive says so, until ctx ends. It returns at once where the unit
// has no WatchdogSec.
func Watchdog(ctx context.Context, alive func() bool) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return
	}
	// Half of the limit is what sd_watchdog_enabled(3) asks for.
	tick := time.NewTicker(limit / 2)
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
