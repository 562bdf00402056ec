package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifySocket is where systemd listens, "" if nobody does; watchdogLimit is how
// often it wants to hear that the process is alive, 0 if it does not.
var (
	notifySocket  string
	watchdogLimit time.Duration
)

// takeNotifySocket keeps the address of systemd's socket, and its watchdog, to
// ourselves. The API server and the kubelet would tell systemd that they are
// ready and alive, and systemd would take it for all of kelp; and no child has
// any business there.
func takeNotifySocket() error {
	notifySocket = os.Getenv("NOTIFY_SOCKET")
	var err error
	watchdogLimit, err = daemon.SdWatchdogEnabled(true)
	return errors.Join(err, os.Unsetenv("NOTIFY_SOCKET"))
}

// notifyEnvironment is what takeNotifySocket has taken, for this process when it
// executes itself anew.
func notifyEnvironment() []string {
	var env []string
	if notifySocket != "" {
		env = append(env, "NOTIFY_SOCKET="+notifySocket)
	}
	if watchdogLimit > 0 {
		env = append(env, fmt.Sprintf("WATCHDOG_USEC=%d", watchdogLimit.Microseconds()), fmt.Sprintf("WATCHDOG_PID=%d", os.Getpid()))
	}
	return env
}

// Notify tells systemd something, if systemd started this process. That it
// cannot be told is nothing that anybody could do something about.
func Notify(state string) {
	if notifySocket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: notifySocket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}

// NotifyReady tells systemd that the start is over.
func NotifyReady() { Notify(daemon.SdNotifyReady) }

// NotifyStatus sets the line that systemctl status shows.
func NotifyStatus(line string) { Notify("STATUS=" + line) }

// NotifyWaiting sets the line that systemctl status shows, and asks systemd for
// that much more time to start: what is waited for may take any time.
func NotifyWaiting(line string, more time.Duration) {
	Notify(fmt.Sprintf("STATUS=%s\nEXTEND_TIMEOUT_USEC=%d", line, more.Microseconds()))
}
