package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/balancer"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/etcd"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/leader"
	"github.com/kelp-project/kelp/pkg/snapshots"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// contendFor is how long another server waits for the first one to take the
// lease. It tries again after that.
const contendFor = 10 * time.Second

// grow says whether the cluster can take another server. One that keeps its
// data in SQLite moves it to etcd first, which takes a restart. Whoever leads
// does so by the lease before there is another server.
func grow(cfg config.Config, elected *leader.Leader, restart func()) func(context.Context) error {
	return func(ctx context.Context) error {
		if datastore.Kind(cfg) != config.DatastoreSQLite {
			ctx, cancel := context.WithTimeout(ctx, contendFor)
			defer cancel()
			if err := elected.Contend(ctx); err != nil {
				return &join.BusyError{Reason: "the server takes the lease for the election of servers: " + err.Error()}
			}
			return nil
		}
		if err := datastore.AskToMove(cfg, time.Now()); err != nil {
			return &join.RefusalError{Reason: err.Error()}
		}
		log.G(ctx).Info("another server joins: this one starts anew and moves its data to etcd")
		// It answers nobody until it is back: the sooner the better for all.
		r := snapshots.Request{Name: snapshots.BeforeMove, Reason: snapshots.BeforeMove, Pinned: true, Dir: snapshots.Dir(cfg.SnapshotDir()), Alone: true}
		if _, err := snapshots.Save(ctx, cfg, r); err != nil {
			log.G(ctx).WithError(err).Warn("no snapshot was made before the move; SQLite's files are kept all the same")
		}
		restart()
		return &join.BusyError{Reason: "the server moves its data to etcd"}
	}
}

// membersEvery is how often a server that has joined looks for etcd's members.
const membersEvery = 10 * time.Second

// balanced is what stands between a server that has joined others and etcd: its
// own member answers nothing before it is a voter. A server that began the
// cluster is one from its first start, and has its own member alone.
func balanced(cfg config.Config, ds *datastore.Datastore, beside *beside) ([]supervisor.Component, error) {
	if !ds.Balanced() {
		return nil, nil
	}
	cluster, _, err := join.Remembered(cfg.Paths())
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(etcd.DefaultClientPort)
	own := net.JoinHostPort("127.0.0.1", port)
	servers := []string{own}
	for _, host := range cluster.Hosts() {
		if !slices.ContainsFunc(cfg.Node.IPs, func(ip netip.Addr) bool { return ip.String() == host }) {
			servers = append(servers, net.JoinHostPort(host, port))
		}
	}
	check := ds.Checker()
	b, err := balancer.New(balancer.Options{
		Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(etcd.BalancerPort)),
		File:    cfg.Paths().EtcdServers, Servers: servers, Prefer: own, Check: check,
	})
	if err != nil {
		return nil, err
	}
	beside.sources.Balancers = map[string]func() []balancer.State{"etcd": b.States}
	follow := func(ctx context.Context) error {
		tick := time.NewTicker(membersEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if err := followMembers(ctx, cfg, ds, b, own); err != nil && ctx.Err() == nil {
				log.G(ctx).WithError(err).WithField("next", membersEvery).Debug("etcd's members were not listed")
			}
		}
	}
	return []supervisor.Component{
		{Name: balancerName, After: []string{certificates}, Run: b.Run, Ready: b.Listening},
		{Name: membersName, After: []string{store}, Run: follow},
	}, nil
}

// after is what the datastore waits for.
func after(between []supervisor.Component, names ...string) []string {
	for _, c := range between {
		if c.Name == balancerName {
			names = append(names, c.Name)
		}
	}
	return names
}

func followMembers(ctx context.Context, cfg config.Config, ds *datastore.Datastore, b *balancer.Balancer, own string) error {
	urls, err := ds.ClientURLs(ctx)
	if err != nil {
		return err
	}
	servers := []string{own}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return fmt.Errorf("read address of an etcd member: %w", err)
		}
		if !slices.ContainsFunc(cfg.Node.IPs, func(ip netip.Addr) bool { return ip.String() == u.Hostname() }) {
			servers = append(servers, u.Host)
		}
	}
	return b.Set(servers)
}

// noteRemoval remembers that the cluster has removed this server, so that a
// later start says so, and does not take its old data for the cluster's.
func noteRemoval(cfg config.Config, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := run(ctx)
		if !errors.Is(err, etcd.ErrRemoved) {
			return err
		}
		text := time.Now().UTC().Format(time.RFC3339) + "\n"
		return errors.Join(err, removed(cfg), atomicfile.Write(cfg.Paths().Removed, []byte(text), 0o600))
	}
}

// removed is why a server that its cluster has removed does not start.
func removed(cfg config.Config) error {
	return fmt.Errorf("this server was removed from its cluster and stays out: to join again, move %s away and start kelp server with --server and a token", cfg.DataDir)
}

func checkRemoved(cfg config.Config) error {
	if _, err := os.Stat(cfg.Paths().Removed); err == nil {
		return removed(cfg)
	}
	return nil
}
