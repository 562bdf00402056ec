package kine

import (
	"context"
	"math"
	"time"

	"github.com/containerd/log"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// newServer is kine's own gRPC server, except that we hold it, and so decide
// how long a stop may take, and that interceptors stand before kine. They log with
// ctx's logger.
func newServer(ctx context.Context) *grpc.Server {
	const overhead = 512 * 1024 // kine's allowance for the message around a value
	return grpc.NewServer(
		grpc.ChainUnaryInterceptor(logging(log.G(ctx)), oneWriter(), honest),
		grpc.StreamInterceptor(endWatches),
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

// logging gives requests a logger.
func logging(logger *log.Entry) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(log.WithLogger(ctx, logger), request)
	}
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

// endWatches lets the watches of a stream end before kine learns that the
// client has gone. kine closes a channel that each watch then reads from
// without end until its context is done: with the two hundred watches of an
// API server that stops, this cost a second of both cores. Remove when kine's
// watch loop looks whether the progress channel is closed (0.17.5 does not).
func endWatches(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	return handler(server, &endingStream{ServerStream: stream, ctx: ctx, cancel: cancel})
}

// endingGrace is long enough for watches to see that their context is done.
const endingGrace = 20 * time.Millisecond

type endingStream struct {
	grpc.ServerStream
	ctx    context.Context
	cancel context.CancelFunc
}

// Context ends a little before RecvMsg says that the client has gone.
func (s *endingStream) Context() context.Context { return s.ctx }

// RecvMsg receives the next message.
func (s *endingStream) RecvMsg(message any) error {
	err := s.ServerStream.RecvMsg(message)
	if err != nil {
		s.cancel()
		time.Sleep(endingGrace)
	}
	return err
}
