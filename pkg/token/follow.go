package token

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/log"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

// The cluster's own tokens are in a file of each server, and may be rotated on
// any. Their records carry them to the others, sealed with a key that only
// servers can derive.

// ownRecord is the record of one of the cluster's own tokens.
func ownRecord(cfg config.Config, t Token, now time.Time) (Record, error) {
	r := RecordOf(t, now)
	box, err := serversBox(cfg)
	if err != nil {
		return Record{}, err
	}
	r.sealed = box.Seal(nil, nil, []byte(t.Text()), []byte(r.ID))
	return r, nil
}

// serversBox is what the sealed tokens are sealed with.
func serversBox(cfg config.Config) (cipher.AEAD, error) {
	return pki.ServersBox(cfg.Paths(), "the cluster's own tokens")
}

// Follow keeps this server's files of the cluster's own tokens at what other
// servers have made of them, until ctx ends.
func Follow(ctx context.Context, cfg config.Config, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "type=" + string(secretType) }))
	follow := func(o any) {
		secret, ok := o.(*corev1.Secret)
		if !ok {
			return
		}
		if err := take(cfg, secret); err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).Warn("the cluster's token was rotated on another server, and this one's file has the old one")
		}
	}
	if _, err := factory.Core().V1().Secrets().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: follow, UpdateFunc: func(_, now any) { follow(now) },
	}); err != nil {
		return fmt.Errorf("watch tokens: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	<-ctx.Done()
	return nil
}

// take writes the token of a record into its file, if another one is there.
func take(cfg config.Config, secret *corev1.Secret) error {
	r, err := recordOf(secret)
	if err != nil {
		return err
	}
	path := fileOf(cfg, Role(r.ID))
	if path == "" || len(r.sealed) == 0 {
		return nil // not one of the cluster's own
	}
	have, exists, err := stored(path)
	if err != nil {
		return err
	}
	if exists && r.Check(have.Secret, time.Time{}) == nil {
		return nil
	}
	box, err := serversBox(cfg)
	if err != nil {
		return err
	}
	text, err := box.Open(nil, nil, r.sealed, []byte(r.ID))
	if err != nil {
		return errors.New("its record cannot be opened with the keys of this server")
	}
	t, err := Parse(string(text))
	if err != nil {
		return err
	}
	if err := r.Check(t.Secret, time.Time{}); err != nil {
		return fmt.Errorf("its record contradicts itself: %w", err)
	}
	return writeFile(path, t)
}

// fileOf is where a server keeps the cluster's own token of a role, empty for
// what is none.
func fileOf(cfg config.Config, role Role) string {
	switch role {
	case Server:
		return cfg.Paths().TokenFile
	case Agent:
		return cfg.Paths().AgentTokenFile
	}
	return ""
}
