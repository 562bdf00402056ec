package agent

import (
	"context"
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
	"github.com/kelp-project/kelp/pkg/live"
	"github.com/kelp-project/kelp/pkg/metrics"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/nodepart"
	"github.com/kelp-project/kelp/pkg/preflight"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/rollout"
	"github.com/kelp-project/kelp/pkg/supervisor"
	"github.com/kelp-project/kelp/pkg/trial"
	"github.com/kelp-project/kelp/pkg/tunnel"
	"github.com/kelp-project/kelp/pkg/upgrade"
	"github.com/kelp-project/kelp/pkg/version"
)

// address is where the node's components reach the API.
var address = net.JoinHostPort("127.0.0.1", strconv.Itoa(config.BalancerPort))

const (
	// startMemory is what an agent has taken from the system, in bytes, when its
	// garbage is collected first.
	startMemory = 96 << 20
	// lastingMemory is a little less than what of its heap lives in the end, in bytes.
	lastingMemory = 32 << 20
)

// Run runs an agent until ctx ends or a component fails for good. The
// configuration is as it was loaded: what the cluster shares, and what follows
// from it, is filled in here. The source is where it came from, and the guard nil
// unless this version is on trial.
func Run(ctx context.Context, loaded config.Config, source live.Source, guard *trial.Guard) error {
	again, err := run(ctx, loaded, source, guard)
	if err == nil && again {
		return process.Reexec()
	}
	return err
}

// run is Run, but says whether the process is to start anew.
func run(ctx context.Context, loaded config.Config, source live.Source, guard *trial.Guard) (again bool, err error) {
	heart := process.StartHeartbeat()
	defer heart.Stop()
	report, err := preflight.Run(loaded, preflight.Agent)
	if err != nil {
		return false, err
	}
	member, err := join.NewMember(loaded)
	if err != nil {
		return false, err
	}
	lock, err := preflight.Acquire(loaded)
	if err != nil {
		return false, err
	}
	defer lock.Release()
	process.Hurry(startMemory, lastingMemory, loaded.Debug)
	log.G(ctx).WithField("version", version.Version).WithField("path", loaded.DataDir).Info("kelp agent starts")
	report.Log(ctx)

	cfg, err := settle(ctx, member, loaded, source.Origins)
	if err != nil {
		return false, orStopped(ctx, err)
	}
	if err := member.Enrol(ctx, cfg, "https://"+address); err != nil {
		return false, orStopped(ctx, err)
	}
	n, err := node.New(ctx, cfg)
	if err != nil {
		return false, err
	}
	if err := n.Check(); err != nil {
		return false, live.Locate(err, cfg, source.Origins)
	}
	servers, err := member.Servers()
	if err != nil {
		return false, err
	}
	lb, err := balancer.New(balancer.Options{Address: address, File: cfg.Paths().BalancerFile, Servers: servers, Check: well})
	if err != nil {
		return false, err
	}
	source.Origins = source.Origins.WithMachine(loaded, cfg)
	return supervise(ctx, cfg, n, lb, member, source, guard, heart.Follow)
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

	configurationName = "configuration"
)

// Components lists what an agent runs.
func Components(cfg config.Config, n *node.Node, lb *balancer.Balancer, member *join.Member, follower *live.Follower, out *tunnel.Agent, restart func()) []supervisor.Component {
	list := []supervisor.Component{
		{Name: balancerName, Run: lb.Run, Ready: lb.Ready},
		{Name: serversName, After: []string{balancerName}, Run: func(ctx context.Context) error { return followServers(ctx, cfg, lb) }},
		{Name: renewalName, After: []string{balancerName}, Run: func(ctx context.Context) error { return renew(ctx, cfg, member) }},
		{Name: tunnelName, After: []string{balancerName}, Run: out.Run},
		{Name: configurationName, Run: follower.Run, Tell: follower.Tell},
		{Name: nodepart.Upgrade, After: []string{nodepart.Kubelet}, Run: rollout.NewMachine(cfg, restart).Run},
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

// supervise runs the components until ctx ends, or until kelp is to start anew.
// Alive is told who knows whether they get round.
func supervise(ctx context.Context, cfg config.Config, n *node.Node, lb *balancer.Balancer, member *join.Member, source live.Source, guard *trial.Guard, alive func(func() bool)) (again bool, err error) {
	inner, restart := process.NewRestart(ctx)
	follower := live.New(live.Options{
		Source: source, Running: cfg, Also: []string{cfg.Paths().ClusterFile}, Appliers: nodepart.Appliers(n),
		Check: check, Restart: restart.Ask,
	})
	told, view := false, &sight{}
	out := &tunnel.Agent{Servers: lb.Servers, TLS: member.TLS, Allow: here(cfg), Own: view}
	s, err := supervisor.New(Components(cfg, n, lb, member, follower, out, restart.Ask), supervisor.Options{Changed: func(snap supervisor.Snapshot) {
		for _, c := range snap.Components {
			if c.Name == nodepart.Kubelet && c.State == supervisor.Ready && !told {
				told = true
				guard.Ready(ctx)
				process.NotifyReady()
			}
		}
	}})
	if err != nil {
		return false, err
	}
	alive(s.Alive)
	guard.Follow(func() string { return s.Snapshot().Pending() })
	status := doctor.NewServer(cfg, "https://"+address, s.Snapshot)
	follower.Register(status.Handle)
	status.Handle(upgrade.RestartPath, upgrade.RestartHandler(restart.Ask))
	view.open(ctx, cfg, s.Snapshot, metrics.Sources{
		Configuration: follower.State, Balancers: map[string]func() []balancer.State{"api": lb.States}, Tunnels: out.Connections,
	})
	status.Handle("/", view)
	if err := status.Listen(ctx); err != nil {
		return false, err
	}
	defer status.Close()
	return restart.Again(ctx, s.Run(inner))
}
