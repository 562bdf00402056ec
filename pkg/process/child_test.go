package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// asChild says what a copy of this test's program shall do.
const asChild = "KELP_PROCESS_TEST"

// TestMain is the program of the tests that need a process of their own.
func TestMain(m *testing.M) {
	switch os.Getenv(asChild) {
	case "":
		os.Exit(m.Run())
	case "reexec":
		_ = os.Setenv(asChild, "reexecuted")
		fmt.Println("process", os.Getpid())
		fmt.Println(Reexec())
	case "reexecuted":
		fmt.Println("process", os.Getpid())
	default:
		ctx, cancel := Setup(config.Log{Level: config.LogInfo, Format: config.LogText}, false)
		defer cancel()
		child(ctx, os.Getenv(asChild))
	}
}

// child waits for its end and says why it came.
func child(ctx context.Context, as string) {
	switch as {
	case "fatal":
		go klog.Fatal("lost the lease")
	case "yield":
		fmt.Println(Yield(), priorities())
		return
	case "limits":
		var limit syscall.Rlimit
		fmt.Println(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit), limit.Cur == limit.Max)
		return
	}
	fmt.Println("up")
	<-ctx.Done()
	if as == "stuck" {
		fmt.Println("stopping")
		select {}
	}
	fmt.Println("ended:", Cause(ctx))
	if as == "fatal" {
		fmt.Println("to stop:", Stopped(ctx))
		stopped := poll.Until(context.Background(), 10*time.Second, func(context.Context) error {
			if !Stopped(ctx) {
				return errors.New("no signal yet")
			}
			return nil
		})
		fmt.Println("to stop:", stopped)
	}
}

type started struct {
	*exec.Cmd
	err bytes.Buffer
}

// start starts a copy of this program. It ends with the test at the latest.
func start(t *testing.T, as string) *started {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	c := &started{Cmd: exec.CommandContext(ctx, os.Args[0])}
	c.Env = append(os.Environ(), asChild+"="+as)
	c.Stderr = &c.err
	return c
}

// reader starts c and returns what reads the next line of its output.
func (c *started) reader(t *testing.T) func() string {
	t.Helper()
	pipe, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return func() string {
		var line []byte
		for b := make([]byte, 1); ; {
			if _, err := pipe.Read(b); err != nil || b[0] == '\n' {
				return string(line)
			}
			line = append(line, b[0])
		}
	}
}

func TestASignalEndsTheContext(t *testing.T) {
	t.Parallel()
	c := start(t, "wait")
	next := c.reader(t)
	next() // up
	_ = c.Process.Signal(syscall.SIGTERM)
	if got := next(); got != "ended: <nil>" {
		t.Errorf("got %q", got)
	}
	if err := c.Wait(); err != nil || !strings.Contains(c.err.String(), "stopping signal=terminated") {
		t.Errorf("%v: %s", err, &c.err)
	}
}

func TestTheSecondSignalEndsTheProcess(t *testing.T) {
	t.Parallel()
	c := start(t, "stuck")
	next := c.reader(t)
	next() // up
	_ = c.Process.Signal(syscall.SIGINT)
	next() // stopping
	_ = c.Process.Signal(syscall.SIGTERM)
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v: %s", err, &c.err)
	}
}

func TestKlogFatalStopsTheOthersFirst(t *testing.T) {
	t.Parallel()
	c := start(t, "fatal")
	next := c.reader(t)
	next() // up
	if got := next(); !strings.HasPrefix(got, "ended: kubernetes: a component ended the process with status 255") {
		t.Errorf("got %q", got)
	}
	if got := next(); got != "to stop: false" {
		t.Errorf("before a signal: %q", got)
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	if got := next(); got != "to stop: <nil>" {
		t.Errorf("after a signal: %q", got)
	}
	if err := c.Wait(); err != nil || !strings.Contains(c.err.String(), "lost the lease") {
		t.Errorf("%v: %s", err, &c.err)
	}
}

func TestSetupRaisesTheLimitOfOpenFiles(t *testing.T) {
	t.Parallel()
	c := start(t, "limits")
	c.Path, c.Args = "/bin/sh", []string{"sh", "-c", `ulimit -Sn 64 && exec "$0"`, os.Args[0]}
	if got := c.reader(t)(); got != "<nil> true" {
		t.Errorf("got %q: %s", got, &c.err)
	}
	_ = c.Wait()
}

func TestReexecKeepsTheProcess(t *testing.T) {
	t.Parallel()
	c := start(t, "reexec")
	next := c.reader(t)
	if before, now := next(), next(); before != now || !strings.HasPrefix(now, "process ") {
		t.Errorf("%q, then %q", before, now)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// systemd is a socket as systemd listens on. It expects a sign of life every 20 ms.
func systemd(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	if err := takeNotifySocket(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { notifySocket, watchdogLimit = "", 0 })
	return func() string {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestSystemdIsTold(t *testing.T) {
	next := systemd(t)
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if left, ok := os.LookupEnv(name); ok {
			t.Errorf("upstream still finds systemd: %s is %q", name, left)
		}
		if !slices.ContainsFunc(notifyEnvironment(), func(v string) bool { return strings.HasPrefix(v, name+"=") }) {
			t.Errorf("the process that this one becomes does not get %s", name)
		}
	}
	NotifyStatus("waiting for datastore (12 s)")
	NotifyReady()
	if a, b := next(), next(); a != "STATUS=waiting for datastore (12 s)" || b != "READY=1" {
		t.Errorf("got %q, %q", a, b)
	}
}

func TestWatchdogSpeaksWhileAlive(t *testing.T) {
	next := systemd(t)
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		watchdog(ctx, func() bool { asked++; return asked > 2 })
	}()
	if got := next(); got != "WATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	cancel()
	<-done
	if asked < 3 {
		t.Errorf("spoke after %d questions, though it was not alive", asked)
	}
}

func TestHeartbeatFollowsWhoeverKnows(t *testing.T) {
	next := systemd(t)
	h := StartHeartbeat()
	if got := next(); got != "WATCHDOG=1" { // nobody to follow yet
		t.Errorf("got %q", got)
	}
	asked := make(chan struct{})
	h.Follow(sync.OnceValue(func() bool { close(asked); return true }))
	<-asked
	h.Stop()
}
