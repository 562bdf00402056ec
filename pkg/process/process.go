package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/log"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/program"
)

// exitGrace is how long the other components have to stop after upstream
// asked for the end of the process: the supervisor's bound and a second.
const exitGrace = 10 * time.Second

// ErrExit is the cause of the context's end when a component of upstream
// asked for the end of the process.
var ErrExit = errors.New("a component ended the process")

// Setup prepares the process: the log, klog, what ends the process, and its
// limits. The context that it returns carries the log, and ends at SIGTERM or
// SIGINT, or with a cause that wraps ErrExit. A second signal ends the process
// at once.
func Setup(cfg config.Log, debug bool) (context.Context, context.CancelFunc) {
	logger := setupLog(cfg, debug, os.Stderr)
	setupKlog()
	signalled := &atomic.Bool{}
	ctx := context.WithValue(log.WithLogger(context.Background(), logrus.NewEntry(logger)), signalledKey{}, signalled)
	ctx, cancel := context.WithCancelCause(ctx)
	klog.OsExit = func(code int) { exitInOrder(cancel, code) }
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() { // lives as long as the process: the second signal may come at any time
		first := <-signals
		signalled.Store(true)
		log.G(ctx).WithField("signal", first.String()).Info("stopping")
		Notify(daemon.SdNotifyStopping)
		cancel(nil)
		<-signals
		log.G(ctx).Error("second signal, ending at once")
		os.Exit(1)
	}()
	if err := errors.Join(raiseLimits(), takeNotifySocket()); err != nil {
		log.G(ctx).WithError(err).Warn("the process stays as it was started")
	}
	return ctx, func() { cancel(nil) }
}

// exitInOrder takes the place of os.Exit in klog: it has the other components
// stopped, and ends the process should that not happen. It does not return,
// as its caller counts on not getting control back.
func exitInOrder(cancel context.CancelCauseFunc, code int) {
	who := caller()
	log.G(context.Background()).WithField(componentKey, who).WithField("code", code).Error("asks for the end of the process")
	cancel(fmt.Errorf("%s: %w with status %d; its reason is in the log", who, ErrExit, code))
	<-time.After(exitGrace)
	os.Exit(max(code, 1))
}

// Cause is why the context of Setup ended: nil for a signal.
func Cause(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, ErrExit) {
		return err
	}
	return nil
}

// signalledKey is that of what Setup's context knows of signals.
type signalledKey struct{}

// Stopped says whether the process was told to stop: by a signal, be it after a
// component of upstream asked for its end, or by whoever ended the context.
func Stopped(ctx context.Context) bool {
	signalled, ok := ctx.Value(signalledKey{}).(*atomic.Bool)
	return ok && signalled.Load() || ctx.Err() != nil && Cause(ctx) == nil
}

// raiseLimits raises the number of open files to what the host allows. Go
// does so for itself, but puts the old limit back for what it executes,
// unless it was set explicitly; the API server alone needs thousands.
func raiseLimits() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise limit of open files to %d: %w", limit.Max, err)
	}
	return nil
}

// Reexec starts kelp anew in this process, with the same arguments and
// environment: for changes that upstream's globals cannot follow. Components
// must have stopped. It returns only with an error.
func Reexec() error {
	path, err := program.Path()
	if err != nil {
		return err
	}
	if err := syscall.Exec(path, os.Args, append(os.Environ(), notifyEnvironment()...)); err != nil {
		return fmt.Errorf("execute %s again: %w", path, err)
	}
	return nil
}
