package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Where things are in the datastore.
const (
	own         = "/kelp/encryption/"
	stateKey    = own + "state"
	loadedUnder = own + "loaded/"      // and a server's address
	secrets     = "/registry/secrets/" // where the API server has Secrets: its own default
)

// errRaced says that somebody else has changed the state since it was read.
var errRaced = errors.New("the keys of Secrets were changed at the same time: try again")

// load reads the state; ok is false if there is none.
func load(ctx context.Context, kv clientv3.KV) (s State, ok bool, err error) {
	res, err := kv.Get(ctx, stateKey)
	if err != nil {
		return State{}, false, fmt.Errorf("read the keys of Secrets: %w", err)
	}
	if len(res.Kvs) == 0 {
		return State{}, false, nil
	}
	s, err = parse(res.Kvs[0].Value, res.Kvs[0].ModRevision)
	return s, err == nil, err
}

// store writes the state, if it is still as it was read.
func (s *State) store(ctx context.Context, kv clientv3.KV) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the keys of Secrets: %w", err)
	}
	revision, err := put(ctx, kv, stateKey, string(text), s.revision)
	if err != nil {
		return err
	}
	s.revision = revision
	return nil
}

// put writes a value over the one of a revision, 0 for none. The transactions are
// of the only forms that kine knows.
func put(ctx context.Context, kv clientv3.KV, key, value string, over int64) (revision int64, err error) {
	txn := kv.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", over)).Then(clientv3.OpPut(key, value))
	if over != 0 {
		txn = txn.Else(clientv3.OpGet(key))
	}
	res, err := txn.Commit()
	switch {
	case err != nil:
		return 0, fmt.Errorf("write the keys of Secrets: %w", err)
	case !res.Succeeded:
		return 0, errRaced
	}
	return res.Header.Revision, nil
}

// loaded are the hashes of the files that the API servers have loaded, by the
// servers' addresses.
func loaded(ctx context.Context, kv clientv3.KV) (map[string]string, error) {
	res, err := kv.Get(ctx, loadedUnder, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read which servers know the keys of Secrets: %w", err)
	}
	hashes := map[string]string{}
	for _, k := range res.Kvs {
		hashes[strings.TrimPrefix(string(k.Key), loadedUnder)] = string(k.Value)
	}
	return hashes, nil
}

// noteLoaded says what this server's API has loaded.
func noteLoaded(ctx context.Context, kv clientv3.KV, address, hash string) error {
	res, err := kv.Get(ctx, loadedUnder+address)
	if err != nil {
		return fmt.Errorf("note that this server knows the keys of Secrets: %w", err)
	}
	var over int64
	if len(res.Kvs) > 0 {
		if string(res.Kvs[0].Value) == hash {
			return nil
		}
		over = res.Kvs[0].ModRevision
	}
	_, err = put(ctx, kv, loadedUnder+address, hash, over)
	return err
}

// pageSize is how many Secrets are read at a time: they are of up to a megabyte.
const pageSize = 20

// eachSecret calls see with every Secret as it is stored.
func eachSecret(ctx context.Context, kv clientv3.KV, see func(namespace, name string, value []byte) error) error {
	from, end := secrets, clientv3.GetPrefixRangeEnd(secrets)
	for {
		res, err := kv.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize))
		if err != nil {
			return fmt.Errorf("read Secrets: %w", err)
		}
		for _, k := range res.Kvs {
			namespace, name, ok := strings.Cut(strings.TrimPrefix(string(k.Key), secrets), "/")
			if !ok {
				continue
			}
			if err := see(namespace, name, k.Value); err != nil {
				return err
			}
		}
		if !res.More || len(res.Kvs) == 0 {
			return nil
		}
		from = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
	}
}
