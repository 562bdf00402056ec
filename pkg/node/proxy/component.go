package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/cmd/kube-proxy/app"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/nodewatch"
)

// ErrNoNode is returned by Ready until the node has an address.
var ErrNoNode = errors.New("the node has no address yet")

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
	if err := flagSet(app.NewOptions()).Parse(set.Render()); err != nil {
		return nil, fmt.Errorf("parse kube-proxy arguments: %w", err)
	}
	return set, nil
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
	if err := fs.Parse(set.Render()); err != nil {
		return fmt.Errorf("parse kube-proxy arguments: %w", err)
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

// wait returns when the node has an address and kube-proxy its role.
func (p *Proxy) wait(ctx context.Context) error {
	if _, err := nodewatch.Until(ctx, p.in.OwnNode, p.cfg.Node.Name, hasAddress); err != nil {
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

func hasAddress(n *corev1.Node) bool {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return true
		}
	}
	return false
}
