package kine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/log"
	"github.com/k3s-io/kine/pkg/endpoint"
	"google.golang.org/grpc"
)

// stopGrace is how long requests may take to end after a stop. Watches never
// end by themselves, so this is for writes only, which take milliseconds.
const stopGrace = 200 * time.Millisecond

// Store is SQLite, or an SQL database on another machine.
type Store struct{ opts Options }

// New returns the store; nothing is opened before Run.
func New(opts Options) *Store { return &Store{opts: opts} }

// URL is the endpoint for etcd clients.
func (s *Store) URL() string { return "unix://" + s.opts.Socket }

// Run opens the database and serves it until ctx ends. When it returns the
// database is closed and its log merged into it.
func (s *Store) Run(ctx context.Context) error {
	if s.opts.Remote != nil {
		return s.runRemote(ctx)
	}
	if err := prepare(s.opts); err != nil {
		return err
	}
	if err := check(ctx, s.opts.File); err != nil {
		return err
	}
	l, err := s.listen(ctx)
	if err != nil {
		return fmt.Errorf("open database %s: %w", s.opts.File, err)
	}
	defer l.stop()
	if err := markInitialised(s.opts.File); err != nil {
		return err
	}
	log.G(ctx).WithField("path", s.opts.File).Debug("serving the SQLite datastore")
	<-ctx.Done()
	return nil
}

// listening is kine while it serves.
type listening struct {
	server  *grpc.Server
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (s *Store) listen(ctx context.Context) (*listening, error) {
	// kine stops when this ends; it is not ctx, as the requests that are
	// under way come first.
	kineCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &listening{server: newServer(kineCtx), cancel: cancel}
	cfg := s.opts.endpointConfig()
	cfg.WaitGroup, cfg.GRPCServer = &l.running, l.server
	if _, err := endpoint.Listen(kineCtx, cfg); err != nil {
		cancel()
		l.running.Wait()
		return nil, err
	}
	return l, nil
}

func (l *listening) stop() {
	timer := time.AfterFunc(stopGrace, l.server.Stop)
	defer timer.Stop()
	l.server.GracefulStop()
	l.cancel()
	l.running.Wait()
}

// prepare makes the directories of the database and the socket, for root only.
func prepare(o Options) error {
	for _, dir := range []string{filepath.Dir(o.File), filepath.Dir(o.Socket)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make directory %s: %w", dir, err)
		}
	}
	// kine sets the socket's mode after it listens: until then the
	// directory's mode is what keeps others out.
	if err := os.Chmod(filepath.Dir(o.File), 0o700); err != nil {
		return fmt.Errorf("restrict directory of the database: %w", err)
	}
	return nil
}
