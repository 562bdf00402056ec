package node

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/internal/toggle"
	"github.com/kelp-project/kelp/pkg/node/containerd"
	"github.com/kelp-project/kelp/pkg/node/kubelet"
	"github.com/kelp-project/kelp/pkg/node/marks"
	"github.com/kelp-project/kelp/pkg/node/network"
	"github.com/kelp-project/kelp/pkg/node/policy"
	"github.com/kelp-project/kelp/pkg/node/proxy"
	"github.com/kelp-project/kelp/pkg/pki"
)

// first is how long what a node does not need for being ready leaves the
// processor to it: it is ready sooner, and a node that waits for something
// else, such as a CNI plugin of the user's, gets the rest all the same.
const first = 2 * time.Second

// Node is the node part's components, none of them running. Each has Run and Ready.
type Node struct {
	Containerd *containerd.Containerd
	Network    *network.Network
	Kubelet    *kubelet.Kubelet
	Proxy      *proxy.Proxy
	Policy     *policy.Enforcer
	Marks      *marks.Keeper
	Policies   *toggle.Switch // whether network policies are enforced
	NFTables   bool           // whether nft can be used, which policies need
}

// First waits until the node is ready, or has taken too long for being waited
// for.
func (n *Node) First(ctx context.Context) {
	_ = poll.Until(ctx, first, n.Kubelet.Ready) // that it is not ready is no reason to wait longer
}

// New looks at the host and builds the components for it.
func New(ctx context.Context, cfg config.Config) (*Node, error) {
	host, err := Observe(ctx, cfg)
	if err != nil {
		return nil, err
	}
	runtime := containerd.New(cfg, containerdInputs(host))
	n := &Node{
		Containerd: runtime,
		Network:    network.New(cfg, networkInputs(cfg, host)),
		Kubelet:    kubelet.New(cfg, kubeletInputs(cfg, host, runtime)),
		Proxy:      proxy.New(cfg, proxyInputs(cfg, host)),
		NFTables:   host.NFTables,
		Marks:      marks.New(cfg, pki.KubeconfigOf(cfg.Paths(), pki.Network)),
		Policies:   toggle.New(cfg.NetworkPolicies()),
	}
	n.Policy = policy.New(cfg, policy.Inputs{Kubeconfig: pki.KubeconfigOf(cfg.Paths(), pki.Network), Socket: cfg.Paths().NRISocket, First: n.First})
	return n, nil
}

// Arguments returns a node of those components alone that take arguments or files of
// the user's, to look at these and not to run them. Unlike New it may be called while a node runs.
func Arguments(ctx context.Context, cfg config.Config) (*Node, error) {
	host, err := Observe(ctx, cfg)
	if err != nil {
		return nil, err
	}
	runtime := containerd.Look(cfg, containerdInputs(host))
	return &Node{
		Containerd: runtime,
		Kubelet:    kubelet.New(cfg, kubeletInputs(cfg, host, runtime)), Proxy: proxy.New(cfg, proxyInputs(cfg, host)),
	}, nil
}

// Check refuses what a component would refuse later: arguments, and files of the
// user's.
func (n *Node) Check() error {
	_, kubelet := n.Kubelet.Merged()
	_, proxy := n.Proxy.Merged()
	return errors.Join(kubelet, proxy, n.Containerd.Check())
}

func containerdInputs(host Host) containerd.Inputs {
	return containerd.Inputs{
		SystemdCgroup:       host.SystemdCgroup,
		RestrictOOMScoreAdj: host.OOMScoreAdj != nil,
		Runtimes:            host.Runtimes,
	}
}

func networkInputs(cfg config.Config, host Host) network.Inputs {
	return network.Inputs{
		Kubeconfig: pki.KubeconfigOf(cfg.Paths(), pki.Network),
		OwnNode:    pki.KubeconfigOf(cfg.Paths(), pki.Kubelet),
		NFTables:   host.NFTables,
	}
}

func kubeletInputs(cfg config.Config, host Host, runtime *containerd.Containerd) kubelet.Inputs {
	p := cfg.Paths()
	in := kubelet.Inputs{
		Serving:    pki.FilesOf(p, pki.KubeletServing),
		ClientCA:   pki.FilesOf(p, pki.Kubelet).CA,
		Kubeconfig: pki.KubeconfigOf(p, pki.Kubelet),
		ResolvConf: host.ResolvConf,

		CgroupDriver: runtime.CgroupDriver(),
		OOMScoreAdj:  host.OOMScoreAdj,
		MaxOpenFiles: host.MaxOpenFiles,
	}
	if in.ResolvConf == "" {
		in.ResolvConf, in.WriteResolvConf = filepath.Join(p.RunDir, "resolv.conf"), true
	}
	return in
}

func proxyInputs(cfg config.Config, host Host) proxy.Inputs {
	return proxy.Inputs{
		Kubeconfig:        pki.KubeconfigOf(cfg.Paths(), pki.Proxy),
		OwnNode:           pki.KubeconfigOf(cfg.Paths(), pki.Kubelet),
		OOMScoreAdj:       host.OOMScoreAdj,
		NFTables:          host.NFTables,
		ConntrackLimits:   host.ConntrackLimits,
		ConntrackTimeouts: host.ConntrackTimeouts,
	}
}
