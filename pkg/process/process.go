package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/containerd/log"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/go-logr/logr"
	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"

	"github.com/kelp-project/kelp/pkg/config"
)

// exitGrace is how long the other components have to stop after upstream
// asked for the end of the process: the supervisor's bound and a second.
const exitGrace = 10 * time.Second

// ErrExit is the cause of the context's end when a component of upstream
// asked for the end of the process.
var ErrExit = errors.New("a component ended the process")

// Setup prepares the process: the log, klog, and what ends the process. The
// context that it returns carries the log, and ends at SIGTERM or SIGINT, or with a cause that
// wraps ErrExit. A second signal ends the process at once.
func Setup(cfg config.Log, debug bool) (context.Context, context.CancelFunc) {
	logger := setupLog(cfg, debug, os.Stderr)
	klog.SetLoggerWithOptions(logr.New(sink{}), klog.ContextualLogger(true))
	ctx, cancel := context.WithCancelCause(log.WithLogger(context.Background(), logrus.NewEntry(logger)))
	klog.OsExit = func(code int) {
		who := caller()
		log.G(ctx).WithField("component", who).WithField("code", code).Error("component asks for the end of the process")
		cancel(fmt.Errorf("%s: %w with status %d; its reason is in the log", who, ErrExit, code))
		// The caller counts on not getting control back.
		time.Sleep(exitGrace)
		os.Exit(max(code, 1))
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() { // lives as long as the process: the second signal may come at any time
		first := <-signals
		log.G(ctx).WithField("signal", first.String()).Info("stopping")
		Notify(daemon.SdNotifyStopping)
		cancel(nil)
		<-signals
		log.G(ctx).Error("second signal, ending at once")
		os.Exit(1)
	}()
	return ctx, func() { cancel(nil) }
}

// Cause is why the context of Setup ended: nil for a signal.
func Cause(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, ErrExit) {
		return err
	}
	return nil
}

// Notify tells systemd something, if systemd started this process. That it
// cannot be told is nothing that anybody could do something about.
func Notify(state string) { _, _ = daemon.SdNotify(false, state) }

// NotifyReady tells systemd that the start is over.
func NotifyReady() { Notify(daemon.SdNotifyReady) }

// NotifyStatus sets the line that `systemctl status` shows.
func NotifyStatus(line string) { Notify("STATUS=" + line) }
