package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/containerd/log"
	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	// patience is how long a new pod waits for its rules: less than
	// containerd.PluginTimeout.
	patience = 4 * time.Second
)

// errNotYet is returned when rules could not be made in time.
var errNotYet = errors.New("the rules of its network policies could not be put in place: see kelp's log")

// gate holds new pods back until policies are enforced on them. The API knows a
// pod's address only when its containers run: containerd tells it before.
func (e *Enforcer) gate(ctx context.Context) {
	for ctx.Err() == nil {
		if err := e.listen(ctx); err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).WithField("next", recheck).Warn("new pods do not wait for their network policies")
		}
		select {
		case <-ctx.Done():
		case <-time.After(recheck):
		}
	}
}

func (e *Enforcer) listen(ctx context.Context) error {
	plugin, err := stub.New(&gate{e}, stub.WithPluginName("kelp-policy"), stub.WithPluginIdx("00"), stub.WithSocketPath(e.in.Socket), stub.WithLogger(quiet{}))
	if err != nil {
		return fmt.Errorf("make NRI plugin: %w", err)
	}
	defer context.AfterFunc(ctx, plugin.Stop)()
	if err := plugin.Run(ctx); err != nil {
		return fmt.Errorf("run NRI plugin: %w", err)
	}
	return errors.New("containerd has closed the connection")
}

// gate is what containerd calls.
type gate struct{ e *Enforcer }

var (
	_ stub.RunPodInterface    = (*gate)(nil)
	_ stub.StopPodInterface   = (*gate)(nil)
	_ stub.RemovePodInterface = (*gate)(nil)
)

// RunPodSandbox is called when a pod has its addresses and no container yet.
func (g *gate) RunPodSandbox(ctx context.Context, sandbox *api.PodSandbox) error {
	pod := Pod{Namespace: sandbox.GetNamespace(), Name: sandbox.GetName(), Labels: sandbox.GetLabels(), Local: true}
	for _, text := range sandbox.GetIps() {
		if ip, err := netip.ParseAddr(text); err == nil {
			pod.IPs = append(pod.IPs, ip)
		}
	}
	if len(pod.IPs) == 0 {
		return nil // it is in the host's network
	}
	return g.e.admit(ctx, sandbox.GetId(), pod)
}

// StopPodSandbox is called when a pod's addresses will be others'.
func (g *gate) StopPodSandbox(_ context.Context, sandbox *api.PodSandbox) error {
	g.e.forget(sandbox.GetId())
	return nil
}

// RemovePodSandbox is called for one that was not stopped, too.
func (g *gate) RemovePodSandbox(_ context.Context, sandbox *api.PodSandbox) error {
	g.e.forget(sandbox.GetId())
	return nil
}

// admit returns when a pod's rules are in place.
func (e *Enforcer) admit(ctx context.Context, sandbox string, pod Pod) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := e.done.Get(ctx); err != nil {
		// Without the API no policy is known, and a pod that starts now is not of the API's.
		log.G(ctx).WithField("pod", pod.Namespace+"/"+pod.Name).Warn("a pod starts before network policies are known")
		return nil
	}
	if all, err := e.policies.NetworkPolicies(pod.Namespace).List(labels.Everything()); err == nil && len(all) == 0 {
		return nil // nobody selects it; as a peer it is known soon enough
	}
	e.mu.Lock()
	e.waiting[sandbox] = pod
	e.mu.Unlock()
	for wanted := e.changed(); ; {
		done, _, later := e.done.Peek()
		if done >= wanted {
			return nil
		}
		select {
		case <-later:
		case <-ctx.Done():
			return errNotYet
		}
	}
}

func (e *Enforcer) forget(sandbox string) {
	e.mu.Lock()
	_, was := e.waiting[sandbox]
	delete(e.waiting, sandbox)
	e.mu.Unlock()
	if was {
		e.changed()
	}
}

// withWaiting adds the pods that wait, and forgets those that the API knows.
func (e *Enforcer) withWaiting(pods []Pod) []Pod {
	e.mu.Lock()
	defer e.mu.Unlock()
	for sandbox, w := range e.waiting {
		if slices.ContainsFunc(pods, func(p Pod) bool { return p.Namespace == w.Namespace && p.Name == w.Name && slices.Equal(p.IPs, w.IPs) }) {
			delete(e.waiting, sandbox)
			continue
		}
		pods = append(pods, w)
	}
	return pods
}

// quiet is the plugin's logger: what fails, it returns.
type quiet struct{}

// Debugf says nothing.
func (quiet) Debugf(context.Context, string, ...any) {}

// Infof says nothing.
func (quiet) Infof(context.Context, string, ...any) {}

// Warnf is for those who look closely.
func (quiet) Warnf(ctx context.Context, format string, args ...any) {
	log.G(ctx).Debugf(format, args...)
}

// Errorf is for those who look closely.
func (quiet) Errorf(ctx context.Context, format string, args ...any) {
	log.G(ctx).Debugf(format, args...)
}
