package migrate

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// all is the prefix of every key: the API begins each with a slash, and kine
// lists only below one.
const all = "/"

// page is how many keys one request reads: 500 of the API's largest objects
// would be 750 MB, of its usual ones 1 MB.
const page = 500

// Data is everything that a datastore holds at one revision.
type Data struct {
	Revision int64
	Keys     []*mvccpb.KeyValue // by key
}

// Read reads all keys at one revision.
func Read(ctx context.Context, client *clientv3.Client) (Data, error) {
	var d Data
	from := all
	for {
		opts := []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(all)), clientv3.WithLimit(page)}
		if d.Revision != 0 {
			opts = append(opts, clientv3.WithRev(d.Revision))
		}
		res, err := client.Get(ctx, from, opts...)
		if err != nil {
			return Data{}, fmt.Errorf("read keys from %q on: %w", from, err)
		}
		if d.Revision == 0 {
			d.Revision = res.Header.Revision
		}
		d.Keys = append(d.Keys, res.Kvs...)
		if !res.More || len(res.Kvs) == 0 {
			return d, nil
		}
		from = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
	}
}
