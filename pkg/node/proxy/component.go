package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/cmd/kube-proxy/app"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/nodewatch"
)

// ErrNoNode is returned by Ready until the node has an address.
var ErrNoNode = errors.New("the node has no address yet")

// settled is how long a node may have other addresses than this machine: a kubelet
// sets its own within seconds of its start.
const settled = 30 * time.Second

// Proxy is the kube-proxy of this node.
type Proxy struct {
	cfg    config.Config
	in     Inputs
	health http.Client
	listen atomic.Pointer[string] // the health server's address, once known
}

// New returns kube-proxy, not yet running.
func New(cfg config.Config, in Inputs) *Proxy {
	return &Proxy{cfg: cfg, in: in, health: http.Client{Timeout: time.Second}}
}

// Merged returns the arguments with the user's merged over them.
func (p *Proxy) Merged() (*args.Set, error) {
	set, err := Args(p.cfg, p.in)
	if err != nil {
		return nil, err
	}
	return set, parse(flagSet(app.NewOptions()), set)
}

func parse(fs *pflag.FlagSet, set *args.Set) error {
	return set.Parse(func(argument string) error { return fs.Parse([]string{argument}) })
}

// Run runs kube-proxy until ctx ends and leaves its rules in place. It works
// once per process: upstream does not stop what it has started.
func (p *Proxy) Run(ctx context.Context) error {
	set, err := Args(p.cfg, p.in)
	if err != nil {
		return err
	}
	o := app.NewOptions()
	fs := flagSet(o)
	if err := parse(fs, set); err != nil {
		return err
	}
	if err := o.Complete(fs); err != nil {
		return fmt.Errorf("complete kube-proxy configuration: %w", err)
	}
	if err := o.Validate(); err != nil {
		return fmt.Errorf("check kube-proxy configuration: %w", err)
	}
	if err := p.wait(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	address, _ := set.Get("healthz-bind-address")
	p.listen.Store(&address)
	ended := make(chan error, 1)
	// The one goroutine that may outlive Run: upstream's Run waits for ever on
	// channels that are nil unless binding is a hard failure.
	go func() { ended <- o.Run(ctx) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return fmt.Errorf("run kube-proxy: %w", err)
	}
}

// wait returns when the node has its addresses and kube-proxy its role. The kubelet
// sets them at its start: a machine that has moved has its old ones until then.
// Where they stay others, as a cloud's controller may have it, those are taken.
func (p *Proxy) wait(ctx context.Context) error {
	own, cancel := context.WithTimeout(ctx, settled)
	defer cancel()
	_, err := nodewatch.Until(own, p.in.OwnNode, p.cfg.Node.Name, hasAddresses(p.cfg.Node.IPs))
	if err != nil && own.Err() != nil && ctx.Err() == nil {
		_, err = nodewatch.Until(ctx, p.in.OwnNode, p.cfg.Node.Name, func(n *corev1.Node) bool { return len(addresses(n)) > 0 })
	}
	if err != nil {
		return err
	}
	return nodewatch.Allowed(ctx, p.in.Kubeconfig, "/api/v1/services?limit=1")
}

// Ready asks kube-proxy whether its rules are up to date.
func (p *Proxy) Ready(ctx context.Context) error {
	address := p.listen.Load()
	if address == nil {
		return ErrNoNode
	}
	if *address == "" {
		return nil // the user has switched the health server off
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+*address+"/livez", nil)
	if err != nil {
		return fmt.Errorf("ask kube-proxy for its health: %w", err)
	}
	res, err := p.health.Do(req)
	if err != nil {
		return fmt.Errorf("ask kube-proxy for its health: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("kube-proxy's rules are not up to date: %s", res.Status)
	}
	return nil
}

// hasAddresses says whether a node has these addresses and no others.
func hasAddresses(want []netip.Addr) func(*corev1.Node) bool {
	return func(n *corev1.Node) bool {
		have := addresses(n)
		return len(have) > 0 && len(have) == len(want) && !slices.ContainsFunc(want, func(ip netip.Addr) bool { return !slices.Contains(have, ip.String()) })
	}
}

func addresses(n *corev1.Node) []string {
	var list []string
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			list = append(list, a.Address)
		}
	}
	return list
}
