package authorities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/log"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

// retryEvery is the pace at which what has failed is tried again.
const retryEvery = 5 * time.Second

// Follower keeps a server's authorities those of the cluster.
type Follower struct {
	Config  config.Config
	Address string // this server's, as the others know it
	Client  func() (kubernetes.Interface, error)
	Adopt   func(context.Context, pki.Authorities) error
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	client, err := f.Client()
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	wake := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
		}))
	if _, err := factory.Core().V1().Secrets().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: wake, UpdateFunc: func(_, o any) { wake(o) }, DeleteFunc: wake,
	}); err != nil {
		return fmt.Errorf("watch the cluster's authorities: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	wake(nil) // there may be none
	for told := ""; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		err := f.follow(ctx, client)
		if err == nil || ctx.Err() != nil {
			told = ""
			continue
		}
		if err.Error() != told && !errors.Is(err, errRaced) {
			told = err.Error()
			log.G(ctx).WithError(err).Warn("this server's authorities are not the cluster's")
		}
		time.AfterFunc(retryEvery, func() { wake(nil) })
	}
}

// follow adopts later authorities than this server's, and shows the cluster this
// server's where it has forgotten them: its data may be those of a snapshot. They
// are never replaced by earlier ones, which nobody may trust any more.
func (f *Follower) follow(ctx context.Context, client kubernetes.Interface) error {
	there, err := load(ctx, client)
	if err != nil {
		return err
	}
	have, err := pki.ReadAuthorities(f.Config.Paths())
	if err != nil {
		return err
	}
	switch {
	case there.generation > have.Generation:
		next, err := there.open(f.Config.Paths())
		if err != nil {
			return err
		}
		if err := f.Adopt(ctx, next); err != nil {
			return err
		}
		log.G(ctx).WithField("generation", next.Generation).Info("the cluster's authorities have successors: certificates were issued anew")
	case there.generation < have.Generation:
		if there, err = there.with(f.Config.Paths(), have); err != nil {
			return err
		}
	case have.Generation == 0 || there.adopted[f.Address] == have.Generation:
		return nil
	}
	there.adopted[f.Address] = there.generation
	return there.write(ctx, client)
}
