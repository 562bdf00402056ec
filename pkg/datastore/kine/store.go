package kine

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/log"
	"github.com/k3s-io/kine/pkg/endpoint"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// stopGrace is how long requests may take to end after a stop. Watches never
// end by themselves, so this is for writes only, which take milliseconds.
const stopGrace = 200 * time.Millisecond

// Store is the SQLite datastore.
type Store struct{ opts Options }

// New returns the store; nothing is opened before Run.
func New(opts Options) *Store { return &Store{opts: opts} }

// URL is the endpoint for etcd clients.
func (s *Store) URL() string { return "unix://" + s.opts.Socket }

// Run opens the database and serves it until ctx ends. When it returns the
// database is closed and its log merged into it.
func (s *Store) Run(ctx context.Context) error {
	if err := prepare(s.opts); err != nil {
		return err
	}
	if err := check(ctx, s.opts.File); err != nil {
		return err
	}
	// kine stops when this ends; it is not ctx, as the requests that are
	// under way come first.
	kineCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	cfg := s.opts.endpointConfig()
	cfg.WaitGroup = &running
	cfg.GRPCServer = newServer()
	if _, err := endpoint.Listen(kineCtx, cfg); err != nil {
		stop()
		running.Wait()
		return fmt.Errorf("open database %s: %w", s.opts.File, err)
	}
	if err := markInitialised(s.opts.File); err != nil {
		return err
	}
	log.G(ctx).WithField("path", s.opts.File).Debug("serving the SQLite datastore")

	<-ctx.Done()
	timer := time.AfterFunc(stopGrace, cfg.GRPCServer.Stop)
	defer timer.Stop()
	cfg.GRPCServer.GracefulStop()
	stop()
	running.Wait()
	return nil
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

// oneWriter lets transactions through one after another. SQLite has a single
// writer anyway, but lets the others sleep for up to 100 ms between looks at
// its lock: eight writers then had a p99 of 80 ms, and 8 to 12 with this queue.
func oneWriter() grpc.UnaryServerInterceptor {
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if info.FullMethod != etcdserverpb.KV_Txn_FullMethodName {
			return handler(ctx, request)
		}
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-turn }()
		return handler(ctx, request)
	}
}

// newServer is kine's own gRPC server, except that we hold it and so decide
// how long a stop may take.
func newServer() *grpc.Server {
	const overhead = 512 * 1024 // kine's allowance for the message around a value
	return grpc.NewServer(
		grpc.UnaryInterceptor(oneWriter()),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: embed.DefaultGRPCKeepAliveMinTime}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time:    embed.DefaultGRPCKeepAliveInterval,
			Timeout: embed.DefaultGRPCKeepAliveTimeout,
		}),
		grpc.MaxConcurrentStreams(embed.DefaultMaxConcurrentStreams),
		grpc.MaxRecvMsgSize(int(embed.DefaultMaxRequestBytes)+overhead),
		grpc.MaxSendMsgSize(math.MaxInt32),
	)
}
