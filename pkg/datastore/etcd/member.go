package etcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/log"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"google.golang.org/grpc"
)

// stopGrace is how long requests may take to end after a stop. Watches never
// end by themselves, so this is for writes only, which take milliseconds.
const stopGrace = 200 * time.Millisecond

// Member is one etcd member in this process.
type Member struct{ in Inputs }

// New returns the member; nothing is opened before Run.
func New(in Inputs) *Member { return &Member{in: in} }

// URL is the endpoint for etcd clients.
func (m *Member) URL() string { return m.in.ClientURL() }

// Run serves until ctx ends or etcd stops by itself, which is an error. When
// it returns all files and ports are closed.
func (m *Member) Run(ctx context.Context) error {
	if m.in.Members != nil && !Exists(m.in.Dir) {
		return m.enterAndRun(ctx)
	}
	return m.serve(ctx, m.in)
}

func (m *Member) serve(ctx context.Context, in Inputs) error {
	var removed atomic.Bool
	cfg, err := embedConfig(in, &logCore{ctx: ctx, dir: in.Dir, removed: &removed})
	if err != nil {
		return err
	}
	for _, dir := range []string{in.Dir, filepath.Dir(in.HTTPSocket)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make directory of etcd: %w", err)
		}
	}
	servers := &grpcServers{}
	cfg.ServiceRegister = servers.add
	cfg.GRPCAdditionalServerOptions = append(cfg.GRPCAdditionalServerOptions, grpc.ChainUnaryInterceptor(outlive))
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return startError(in.Dir, err)
	}
	defer servers.stop(etcd)
	log.G(ctx).WithField("path", in.Dir).Debug("serving the etcd datastore")
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() { leadAlone(ctx, etcd.Server) })
	beside.Go(func() { followAddress(ctx, etcd.Server, in.PeerURL()) })

	select {
	case <-ctx.Done():
		return nil
	case err = <-etcd.Err():
		err = fmt.Errorf("serve etcd: %w", err)
	case <-etcd.Server.StopNotify():
		err = errors.New("etcd stopped by itself")
	}
	if removed.Load() || gone(etcd.Server) { // whatever came of it first
		return ErrRemoved
	}
	return err
}

// damaged is what to do about data that etcd cannot go on with.
const damaged = "if its data is damaged and the cluster has other servers, stop kelp, move this directory away, and start kelp, which joins the others again; " +
	"a server that is alone restores a snapshot, with kelp snapshot restore"

// full is what to do about a disk that is, and what not to: the data is whole.
const full = "the disk is full: make room, and start kelp, if its unit does not do so by itself; nothing that was written is lost"

// remedy is what to do about an error of etcd's that may be the data's.
func remedy(text string) string {
	if strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, syscall.EDQUOT.Error()) {
		return full
	}
	return damaged
}

// startError says what to do where it may be the data that etcd fails at.
func startError(dir string, err error) error {
	var network *net.OpError
	if !Exists(dir) || errors.As(err, &network) {
		return fmt.Errorf("start etcd in %s: %w", dir, err)
	}
	return fmt.Errorf("start etcd in %s: %w; %s", dir, err, remedy(err.Error()))
}

// Exists says whether a directory holds a member's data, and not only the
// beginnings of a member that never came up.
func Exists(dir string) bool {
	return wal.Exist(filepath.Join(dir, "member", "wal"))
}

// grpcServers holds the servers that embed makes and does not show, so that
// a stop need not wait out etcd's request timeout for open watches.
type grpcServers struct {
	mu      sync.Mutex
	servers []*grpc.Server
}

func (g *grpcServers) add(s *grpc.Server) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.servers = append(g.servers, s)
}

func (g *grpcServers) stop(etcd *embed.Etcd) {
	timer := time.AfterFunc(stopGrace, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, s := range g.servers {
			s.Stop()
		}
	})
	defer timer.Stop()
	select {
	case <-etcd.Server.ReadyNotify():
	default:
		// A member that never found its majority has not begun to serve, and Close
		// would wait for that for good.
		etcd.Server.Stop()
	}
	etcd.Close()
}
