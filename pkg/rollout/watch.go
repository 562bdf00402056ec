package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/log"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

const (
	// busy is how often it is looked while something is under way.
	busy = 2 * time.Second
	// idle is how long a watch lasts, without which nothing is asked while nothing is wanted.
	idle = 10 * time.Minute
	// again is the pause after an error: the definition of Upgrades comes some seconds
	// after the API.
	again = 10 * time.Second
)

// clients are those of a kubeconfig.
type clients struct {
	dynamic dynamic.Interface
	kube    kubernetes.Interface
}

func connect(kubeconfig string) (c clients, err error) {
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return c, fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.UserAgent = "kelp-upgrades"
	if c.dynamic, err = dynamic.NewForConfig(rest); err != nil {
		return c, fmt.Errorf("make client: %w", err)
	}
	if c.kube, err = kubernetes.NewForConfig(rest); err != nil {
		return c, fmt.Errorf("make client: %w", err)
	}
	return c, nil
}

// follow calls act with all Upgrades, when they change and after the time that it
// returns, until ctx ends.
func follow(ctx context.Context, client dynamic.Interface, act func(context.Context, []Upgrade) (time.Duration, error)) {
	for ctx.Err() == nil {
		all, version, err := list(ctx, client)
		next := again
		if err == nil {
			if next, err = act(ctx, all); errors.Is(err, errChanged) {
				next, err = busy, nil
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				log.G(ctx).WithError(err).WithField("next", again).Debug("upgrades are looked at later")
			}
			poll.Pause(ctx, again)
			continue
		}
		await(ctx, client, version, next)
	}
}

// await returns when an Upgrade has changed, or after a time.
func await(ctx context.Context, client dynamic.Interface, version string, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	w, err := client.Resource(Resource).Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		poll.Pause(ctx, again)
		return
	}
	defer w.Stop()
	select {
	case <-ctx.Done():
	case <-w.ResultChan(): // also when it is closed
	}
}
