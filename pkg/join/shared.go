package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/log"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/token"
)

// sharedKey is where an external datastore holds what all servers of its
// cluster have in common. No object of the API's is there.
const sharedKey = "/kelp/authorities"

// shared is its value: whose keys they are, and the keys for whoever has the
// secret of the server token.
type shared struct {
	Hash   string `json:"hash"` // of the serving authority, as in tokens
	Sealed []byte `json:"sealed"`
}

// Share has this server and the others that use the same external datastore be
// of one cluster: the first one makes the authorities, with create, and puts them
// there, sealed with the server token's secret; the others take them.
func Share(ctx context.Context, cfg config.Config, store clientv3.KV, create func(context.Context) error) error {
	for {
		again, err := share(ctx, cfg, store, create)
		if err != nil || !again {
			return err
		}
	}
}

func share(ctx context.Context, cfg config.Config, store clientv3.KV, create func(context.Context) error) (again bool, err error) {
	res, err := store.Get(ctx, sharedKey)
	if err != nil {
		return false, fmt.Errorf("read the cluster's keys from the datastore: %w", err)
	}
	own, err := HasKeys(cfg.Paths())
	if err != nil {
		return false, err
	}
	if len(res.Kvs) == 0 {
		return publish(ctx, cfg, store, own, create)
	}
	var there shared
	if err := json.Unmarshal(res.Kvs[0].Value, &there); err != nil {
		return false, fmt.Errorf("read the cluster's keys from the datastore: %w", err)
	}
	if !own {
		return false, take(ctx, cfg, there)
	}
	_, hash, err := serverSecret(cfg)
	if err != nil {
		return false, err
	}
	if hash != there.Hash {
		return false, fmt.Errorf("the datastore holds another cluster: its authority has hash %.12s…, this server's %.12s…; give this server another data-dir, or the datastore another database", there.Hash, hash)
	}
	return false, nil
}

// Reseal seals the keys in an external datastore anew, with the secret that this
// server's token file has now.
func Reseal(ctx context.Context, cfg config.Config, store clientv3.KV) error {
	value, err := sealShared(cfg)
	if err != nil {
		return err
	}
	if _, err := store.Put(ctx, sharedKey, value); err != nil {
		return fmt.Errorf("write the cluster's keys to the datastore: %w", err)
	}
	return nil
}

// Seal returns the cluster's keys, for whoever has the secret of the server
// token, and the hash of its serving authority.
func Seal(cfg config.Config) (sealed []byte, authority string, err error) {
	secret, hash, err := serverSecret(cfg)
	if err != nil {
		return nil, "", err
	}
	sealed, err = seal(cfg.Paths(), secret, nil)
	return sealed, hash, err
}

func sealShared(cfg config.Config) (string, error) {
	sealed, hash, err := Seal(cfg)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(shared{hash, sealed})
	if err != nil {
		return "", fmt.Errorf("encode the cluster's keys: %w", err)
	}
	return string(text), nil
}

// publish writes this server's keys, its own or such as are created now. It is to
// be tried again when another server was faster.
func publish(ctx context.Context, cfg config.Config, store clientv3.KV, own bool, create func(context.Context) error) (again bool, err error) {
	if err := create(ctx); err != nil {
		return false, err
	}
	value, err := sealShared(cfg)
	if err != nil {
		return false, err
	}
	res, err := store.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(sharedKey), "=", 0)).
		Then(clientv3.OpPut(sharedKey, value)).Commit()
	switch {
	case err != nil:
		return false, fmt.Errorf("write the cluster's keys to the datastore: %w", err)
	case res.Succeeded:
		log.G(ctx).Info("the cluster's keys are in the datastore, sealed with the server token")
		return false, nil
	case !own:
		// Nobody has seen them yet.
		if err := Uninstall(cfg.Paths()); err != nil {
			return false, fmt.Errorf("give way to the server that was faster: %w", err)
		}
	}
	return true, nil
}

// take writes the cluster's keys to this server.
func take(ctx context.Context, cfg config.Config, there shared) error {
	t, given, err := token.Given(cfg)
	switch {
	case err != nil:
		return err
	case !given:
		return errors.New("the datastore holds a cluster already: set token or tokenFile to its server token, which its servers have in " + cfg.Paths().TokenFile)
	case t.Hash != "" && t.Hash != there.Hash:
		return fmt.Errorf("the datastore holds another cluster than the token's: its authority has hash %.12s…, the token's %.12s…", there.Hash, t.Hash)
	}
	contents, err := open(there.Sealed, t.Secret)
	if err != nil {
		return fmt.Errorf("%w: set token or tokenFile to the cluster's server token", err)
	}
	log.G(ctx).Info("took the cluster's keys from the datastore")
	return install(cfg.Paths(), contents)
}

// serverSecret is the secret of this server's own token file.
func serverSecret(cfg config.Config) (secret, hash string, err error) {
	text, err := os.ReadFile(cfg.Paths().TokenFile)
	if err != nil {
		return "", "", fmt.Errorf("read the cluster's token: %w", err)
	}
	t, err := token.Parse(string(text))
	if err != nil {
		return "", "", fmt.Errorf("read the cluster's token: %w", err)
	}
	return t.Secret, t.Hash, nil
}
