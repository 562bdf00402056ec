package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/balancer"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/nodepart"
	"github.com/kelp-project/kelp/pkg/preflight"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/supervisor"
	"github.com/kelp-project/kelp/pkg/tunnel"
	"github.com/kelp-project/kelp/pkg/version"
)

// address is where the node's components reach the API.
var address = net.JoinHostPort("127.0.0.1", strconv.Itoa(config.BalancerPort))

// startMemory is what an agent holds, in bytes, soon after its start.
const startMemory = 96 << 20

// Run runs an agent until ctx ends or a component fails for good. The
// configuration is as it was loaded: what the cluster shares, and what follows
// from it, is filled in here.
func Run(ctx context.Context, loaded config.Config, origins config.Origins) error {
	report, err := preflight.Run(loaded, preflight.Agent)
	if err != nil {
		return err
	}
	member, err := join.NewMember(loaded)
	if err != nil {
		return err
	}
	lock, err := preflight.Acquire(loaded)
	if err != nil {
		return err
	}
	defer lock.Release()
	process.Hurry(startMemory, loaded.Debug)
	log.G(ctx).WithField("version", version.Version).WithField("path", loaded.DataDir).Info("kelp agent starts")
	report.Log(ctx)

	cfg, err := settle(ctx, member, loaded, origins)
	if err != nil {
		return orStopped(ctx, err)
	}
	if err := member.Enrol(ctx, cfg, "https://"+address); err != nil {
		return orStopped(ctx, err)
	}
	n, err := node.New(ctx, cfg)
	if err != nil {
		return err
	}
	if _, err := n.Kubelet.Merged(); err != nil {
		return err
	}
	if _, err := n.Proxy.Merged(); err != nil {
		return err
	}
	servers, err := member.Servers()
	if err != nil {
		return err
	}
	lb, err := balancer.New(balancer.Options{Address: address, File: cfg.Paths().BalancerFile, Servers: servers, Check: well})
	if err != nil {
		return err
	}
	return supervise(ctx, cfg, Components(cfg, n, lb, member))
}

// orStopped is nil when the wait for a server was ended by a stop.
func orStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return process.Cause(ctx)
	}
	return err
}

// settle makes the whole configuration: this machine's and the cluster's.
func settle(ctx context.Context, member *join.Member, loaded config.Config, origins config.Origins) (config.Config, error) {
	cluster, err := member.Cluster(ctx)
	if err != nil {
		return loaded, err
	}
	return cluster.Settle(loaded, origins)
}

// The names of the components, as kelp status shows them.
const (
	balancerName = "balancer"
	serversName  = "servers"
	renewalName  = "renewal"
	tunnelName   = "tunnel"
)

// Components lists what an agent runs.
func Components(cfg config.Config, n *node.Node, lb *balancer.Balancer, member *join.Member) []supervisor.Component {
	out := tunnel.Agent{Servers: lb.Servers, TLS: member.TLS, Allow: here(cfg)}
	list := []supervisor.Component{
		{Name: balancerName, Run: lb.Run, Ready: lb.Ready},
		{Name: serversName, After: []string{balancerName}, Run: func(ctx context.Context) error { return followServers(ctx, cfg, lb) }},
		{Name: renewalName, After: []string{balancerName}, Run: func(ctx context.Context) error { return renew(ctx, cfg, member) }},
		{Name: tunnelName, After: []string{balancerName}, Run: out.Run},
	}
	needs := nodepart.Needs{After: []string{balancerName}, Serving: func(ctx context.Context) error {
		return poll.Forever(ctx, func(ctx context.Context) error { return well(ctx, address) })
	}}
	return nodepart.WithMemory(append(list, nodepart.Components(cfg, n, needs)...))
}

// here says whether an address may be this node's, or that of a pod: servers
// have no business at others, loopback included.
func here(cfg config.Config) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		return slices.Contains(cfg.Node.IPs, a) || slices.ContainsFunc(cfg.Network.ClusterCIDRs, func(r netip.Prefix) bool { return r.Contains(a) })
	}
}

// checker asks servers for a sign of life. It trusts nobody and says nothing:
// whoever answers gets bytes that are authenticated end to end.
var checker = newChecker()

// well asks a server whether it is there.
func well(ctx context.Context, server string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+server+"/ping", nil)
	if err != nil {
		return fmt.Errorf("ask server %s: %w", server, err)
	}
	res, err := checker.Do(req)
	if err != nil {
		return fmt.Errorf("ask server %s: %w", server, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("ask server %s: %s", server, res.Status)
	}
	return nil
}

func supervise(ctx context.Context, cfg config.Config, components []supervisor.Component) error {
	told := false
	s, err := supervisor.New(components, supervisor.Options{Changed: func(snap supervisor.Snapshot) {
		for _, c := range snap.Components {
			if c.Name == nodepart.Kubelet && c.State == supervisor.Ready && !told {
				told = true
				process.NotifyReady()
			}
		}
	}})
	if err != nil {
		return err
	}
	status := doctor.NewServer(cfg, "https://"+address, s.Snapshot)
	if err := status.Listen(ctx); err != nil {
		return err
	}
	defer status.Close()
	if err := s.Run(ctx); err != nil {
		return errors.Join(err, process.Cause(ctx))
	}
	return process.Cause(ctx)
}
