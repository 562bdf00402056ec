package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/log"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/balancer"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
)

// followServers keeps the balancer's servers those that the API servers have
// registered themselves as: it watches, so that a new one is known at once. A
// server that has gone is noticed by the balancer itself.
func followServers(ctx context.Context, cfg config.Config, lb *balancer.Balancer) error {
	// kube-proxy's identity is the one on this machine that may watch endpoints.
	rest, err := clientcmd.BuildConfigFromFlags("", pki.KubeconfigOf(cfg.Paths(), pki.Proxy))
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.UserAgent = "kelp-servers"
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(metav1.NamespaceDefault),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", "kubernetes").String()
		}))
	seen := func(o any) {
		slice, ok := o.(*discoveryv1.EndpointSlice)
		if !ok {
			return
		}
		servers := join.ServersOf(slice)
		if len(servers) == 0 {
			return // all of them start: the old addresses are the best that is known
		}
		if err := lb.Set(servers); err != nil {
			log.G(ctx).WithError(err).Error("the balancer does not know the servers")
		}
	}
	if _, err := factory.Discovery().V1().EndpointSlices().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: seen, UpdateFunc: func(_, o any) { seen(o) },
	}); err != nil {
		return fmt.Errorf("watch API servers: %w", err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

const (
	// renewEvery is how often an agent asks for what may have changed in the
	// cluster, and looks at its certificates.
	renewEvery = 10 * time.Minute
	// clockEvery is how often it looks at the clock, which may be set beyond their end.
	clockEvery = 15 * time.Second
)

// renewDue says whether it is time to look again, by a clock that may be set.
func renewDue(last, now time.Time) bool {
	passed := now.Round(0).Sub(last.Round(0))
	return passed < 0 || passed >= renewEvery
}

// renew keeps what is known of the cluster and the node's certificates as they
// should be. Its failures are no reason to stop: the next time may be better.
func renew(ctx context.Context, cfg config.Config, member *join.Member) error {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !renewDue(last, time.Now()) {
			continue
		}
		last = time.Now()
		_, err := member.Cluster(ctx)
		if err == nil {
			err = member.Enrol(ctx, cfg, "https://"+address)
		}
		if err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).WithField("next", renewEvery).Warn("the node's certificates were not looked at")
		}
	}
}
