package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/log"
	"go.etcd.io/etcd/server/v3/embed"
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
	cfg, err := embedConfig(m.in, &logCore{ctx: ctx})
	if err != nil {
		return err
	}
	for _, dir := range []string{m.in.Dir, filepath.Dir(m.in.HTTPSocket)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make directory of etcd: %w", err)
		}
	}
	servers := &grpcServers{}
	cfg.ServiceRegister = servers.add
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return fmt.Errorf("start etcd in %s: %w", m.in.Dir, err)
	}
	defer servers.stop(etcd)
	log.G(ctx).WithField("path", m.in.Dir).Debug("serving the etcd datastore")

	select {
	case <-ctx.Done():
		return nil
	case err := <-etcd.Err():
		return fmt.Errorf("serve etcd: %w", err)
	case <-etcd.Server.StopNotify():
		return errors.New("etcd stopped by itself")
	}
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
	etcd.Close()
}
