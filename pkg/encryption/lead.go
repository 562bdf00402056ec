package encryption

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/log"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// step takes a change of the key one stage further. Each can be done again: the
// state is written when the stage is complete.
func (e *Encryption) step(ctx context.Context, client *clientv3.Client, api kubernetes.Interface) (done bool, err error) {
	s, ok, err := load(ctx, client)
	if err != nil || !ok {
		return false, err
	}
	if s.Stage == Settled {
		return true, nil
	}
	waiting, err := e.waiting(ctx, client, s)
	if err != nil {
		return false, err
	}
	if len(waiting) > 0 {
		return false, s.explain(ctx, client, "waiting for the API server at "+strings.Join(waiting, ", ")+" to load the keys")
	}
	switch s.Stage {
	case Spreading:
		s.Write, s.Next, s.Stage = s.Next, "", Rewriting
	case Rewriting:
		left, err := rewriteSecrets(ctx, client, api, s)
		if err != nil {
			return false, errors.Join(err, s.explain(ctx, client, err.Error()))
		}
		if left > 0 {
			return false, nil // changed by others just then, or new
		}
		if err := e.forget(ctx, client); err != nil {
			return false, err
		}
		s.Stage = Settled
		log.G(ctx).WithField("key", s.Write).Info("all Secrets are written with their key")
	default:
		return false, fmt.Errorf("the keys of Secrets are in stage %q, which this kelp does not know: it is older than the one that began it", s.Stage)
	}
	s.Problem = ""
	if err := s.store(ctx, client); err != nil && !errors.Is(err, errRaced) { // then it is looked at again
		return false, err
	}
	return false, nil
}

// explain notes why a change does not go on.
func (s State) explain(ctx context.Context, kv clientv3.KV, why string) error {
	if s.Problem == why {
		return nil
	}
	s.Problem = why
	if err := s.store(ctx, kv); !errors.Is(err, errRaced) {
		return err
	}
	return nil
}

// waiting are the servers whose API has not loaded the state's keys.
func (e *Encryption) waiting(ctx context.Context, client *clientv3.Client, s State) ([]string, error) {
	box, err := boxFor(e.opts.Paths)
	if err != nil {
		return nil, err
	}
	text, err := s.file(box)
	if err != nil {
		return nil, err
	}
	servers, err := e.opts.Servers(ctx)
	if err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		return nil, errors.New("no API server has registered itself")
	}
	hashes, err := loaded(ctx, client)
	if err != nil {
		return nil, err
	}
	var waiting []string
	for _, server := range servers {
		if hashes[server] != Hash(text) {
			waiting = append(waiting, server)
		}
	}
	return waiting, nil
}

// forget removes what servers have said that are not among those that run: they
// say it again when they start.
func (e *Encryption) forget(ctx context.Context, client *clientv3.Client) error {
	servers, err := e.opts.Servers(ctx)
	if err != nil {
		return err
	}
	res, err := client.Get(ctx, loadedUnder, clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("read which servers know the keys of Secrets: %w", err)
	}
	for _, k := range res.Kvs {
		key := string(k.Key)
		if slices.Contains(servers, strings.TrimPrefix(key, loadedUnder)) {
			continue
		}
		if _, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", k.ModRevision)).
			Then(clientv3.OpDelete(key)).Else(clientv3.OpGet(key)).Commit(); err != nil {
			return fmt.Errorf("forget a server that does not run: %w", err)
		}
	}
	return nil
}

// rewriteSecrets has the API write anew what is stored otherwise than it would be
// now, and returns how many those were.
func rewriteSecrets(ctx context.Context, client *clientv3.Client, api kubernetes.Interface, s State) (left int, err error) {
	err = eachSecret(ctx, client, func(namespace, name string, value []byte) error {
		if s.written(value) {
			return nil
		}
		left++
		// An update that changes nothing is written if the value is stale. Who
		// else writes the Secret, or deletes it, does what was wanted.
		of := api.CoreV1().Secrets(namespace)
		secret, err := of.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			_, err = of.Update(ctx, secret, metav1.UpdateOptions{FieldManager: "kelp"})
		}
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return fmt.Errorf("write Secret %s/%s anew: %w", namespace, name, err)
		}
		return nil
	})
	return left, err
}
