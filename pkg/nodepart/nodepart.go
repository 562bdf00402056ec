package nodepart

import (
	"context"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/images"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/node/policy"
	"github.com/kelp-project/kelp/pkg/payload"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// The components that others refer to: Kubelet is ready when the Node is, and
// Images when those that are packaged are in containerd. Upgrade upgrades the machine
// when it is its turn.
const (
	Kubelet = "kubelet"
	Images  = "images"
	Upgrade = "upgrade"
)

const (
	unpack     = "payload"
	containerd = "containerd"
	network    = "network"
	proxy      = "proxy"
	marks      = "node-marks"
)

// Names are those of the components, for a role that leaves them out.
func Names() []string {
	return []string{unpack, containerd, Images, network, Kubelet, proxy, marks, config.NetworkPolicy}
}

// Needs is what the node part needs of its role.
type Needs struct {
	// After are the components that have to be ready before those that talk to
	// the API: certificates and kubeconfigs are there then.
	After []string
	// Serving returns when the API answers requests.
	Serving func(context.Context) error
}

// When runs a component as soon as the API answers requests, without waiting
// for all that it does at its start.
func When(serving, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := serving(ctx); err != nil {
			return nil // stopped before it could begin
		}
		return run(ctx)
	}
}

// Unpack writes the helper programs that a node needs, where they are missing.
func Unpack(ctx context.Context, paths config.Paths) error {
	return payload.Unpack(ctx, payload.Dirs{Bin: paths.Bin, CNIBin: paths.CNIBin})
}

// Components lists the node part. What talks to the API server waits for it by
// itself, beside the components that it has to be after.
func Components(cfg config.Config, n *node.Node, needs Needs) []supervisor.Component {
	paths := cfg.Paths()
	when := func(run func(context.Context) error) func(context.Context) error { return When(needs.Serving, run) }
	later := func(run func(context.Context) error) func(context.Context) error {
		return when(func(ctx context.Context) error {
			n.First(ctx)
			return run(ctx)
		})
	}
	imgs := images.New(cfg)
	list := []supervisor.Component{
		{Name: unpack, Once: true, Run: func(ctx context.Context) error { return Unpack(ctx, paths) }},
		{Name: containerd, After: []string{unpack}, Run: n.Containerd.Run, Ready: n.Containerd.Ready},
		{Name: Images, After: []string{containerd}, Run: later(imgs.Run), Ready: imgs.Ready},
		{Name: Kubelet, After: append([]string{containerd}, needs.After...), Run: when(n.Kubelet.Run), Ready: n.Kubelet.Ready},
		{Name: proxy, After: needs.After, Run: later(n.Proxy.Run), Ready: n.Proxy.Ready},
	}
	list = append(list,
		supervisor.Component{Name: marks, After: []string{Kubelet}, Run: n.Marks.Run},
		policies(cfg, n, needs))
	if cfg.Network.Backend == config.BackendNone {
		return append(list, supervisor.Skipped(network, "network.backend is none: bring a CNI plugin"))
	}
	return append(list, supervisor.Component{Name: network, After: needs.After, Run: when(n.Network.Run), Ready: n.Network.Ready})
}

// policies is what enforces NetworkPolicies. It listens to containerd before
// the kubelet starts pods.
func policies(cfg config.Config, n *node.Node, needs Needs) supervisor.Component {
	switch {
	case cfg.Network.Backend == config.BackendNone:
		return supervisor.Skipped(config.NetworkPolicy, "network.backend is none: it is for your CNI plugin to enforce them")
	case !n.NFTables:
		return supervisor.Skipped(config.NetworkPolicy, "nft cannot be used on this machine: network policies are NOT enforced")
	}
	return supervisor.Component{
		Name: config.NetworkPolicy, After: append([]string{containerd}, needs.After...),
		Run:   n.Policies.Run(When(needs.Serving, n.Policy.Run), policy.Remove),
		Ready: n.Policies.Ready(n.Policy.Ready), Tell: n.Policies.Tell("disabled"),
	}
}

// WithMemory adds the component that comes after all others, and ends the hurry
// of the start.
func WithMemory(list []supervisor.Component) []supervisor.Component {
	last := supervisor.Component{Name: "memory", Run: process.SettleMemory}
	for _, c := range list {
		last.After = append(last.After, c.Name)
	}
	return append(list, last)
}
