package records

import (
	"context"
	"fmt"
	"iter"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// all is the prefix of every key: the API begins each with a slash, and kine
// lists only below one.
const all = "/"

// healthKey is one that kine makes for itself, where it is missing.
const healthKey = "/registry/health"

// The size of a request: as many keys as hold a quarter of a megabyte, going by
// the last page, and at most twice as many as in that. What the largest objects
// follow upon may be the smallest: two hundred of 400 kB, which is large, are
// 80 MB. While one is answered, others wait for it: of 4 MB, that was seen in the
// latency of writes.
const (
	firstPage, lastPage = 10, 200
	pageBytes           = 256 << 10
)

// Gentle reading rests for three times as long as a request took, but not for
// longer than maxPause: 100 MB take some ten seconds.
const (
	restFactor = 3
	maxPause   = 100 * time.Millisecond
)

// Data is everything that a datastore holds at one revision.
type Data struct {
	Revision int64
	Keys     []*mvccpb.KeyValue // by key
}

// All are its keys, as a sequence that has no error.
func (d Data) All() Keys {
	return func(yield func(*mvccpb.KeyValue, error) bool) {
		for _, kv := range d.Keys {
			if !yield(kv, nil) {
				return
			}
		}
	}
}

// Keys are keys in their order, or an error that ends them. The lease of one is
// its number of seconds, as with kine.
type Keys = iter.Seq2[*mvccpb.KeyValue, error]

// Source is a datastore to read.
type Source struct {
	Client *clientv3.Client
	// Seconds says that the id of a lease is its number of seconds: that is
	// kine's, which knows of none otherwise.
	Seconds bool
	// Gentle leaves most of the time to others: for a while after each request,
	// none is made.
	Gentle bool
}

// Read reads all keys at one revision.
func Read(ctx context.Context, from Source) (Data, error) {
	var d Data
	err := Pages(ctx, from, func(revision int64, keys []*mvccpb.KeyValue) error {
		d.Revision = revision
		d.Keys = append(d.Keys, keys...)
		return nil
	})
	return d, err
}

// Pages reads all keys at one revision, and gives some at a time to take.
func Pages(ctx context.Context, from Source, take func(revision int64, keys []*mvccpb.KeyValue) error) error {
	leases := map[int64]int64{}
	var revision int64
	for next, limit := all, firstPage; next != ""; {
		opts := []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(all)), clientv3.WithLimit(int64(limit))}
		if revision != 0 {
			opts = append(opts, clientv3.WithRev(revision))
		}
		began := time.Now()
		res, err := from.Client.Get(ctx, next, opts...)
		if err != nil {
			return fmt.Errorf("read keys from %q on: %w", next, err)
		}
		if revision == 0 {
			revision = res.Header.Revision
		}
		next = ""
		if res.More && len(res.Kvs) > 0 {
			next = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
		}
		limit = min(pageAfter(res.Kvs), 2*limit)
		keys, err := normal(ctx, from, res.Kvs, leases)
		if err != nil {
			return err
		}
		if err := take(revision, keys); err != nil {
			return err
		}
		if from.Gentle && next != "" {
			select {
			case <-ctx.Done():
				return fmt.Errorf("read keys: %w", ctx.Err())
			case <-time.After(min(restFactor*time.Since(began), maxPause)):
			}
		}
	}
	return nil
}

// pageAfter is how many keys to ask for after these.
func pageAfter(keys []*mvccpb.KeyValue) int {
	size := 1
	for _, kv := range keys {
		size += len(kv.Value)
	}
	return min(max(len(keys)*pageBytes/size, 1), lastPage)
}

// normal leaves out what is none of the API's, and makes seconds of leases.
func normal(ctx context.Context, from Source, keys []*mvccpb.KeyValue, leases map[int64]int64) ([]*mvccpb.KeyValue, error) {
	var found []*mvccpb.KeyValue
	for _, kv := range keys {
		if string(kv.Key) == healthKey {
			continue
		}
		if kv.Lease != 0 && !from.Seconds {
			seconds, known := leases[kv.Lease]
			if !known {
				res, err := from.Client.TimeToLive(ctx, clientv3.LeaseID(kv.Lease))
				if err != nil {
					return nil, fmt.Errorf("read the lease of key %q: %w", kv.Key, err)
				}
				seconds = max(res.GrantedTTL, 1) // 0 when it has ended since
				leases[kv.Lease] = seconds
			}
			kv.Lease = seconds
		}
		found = append(found, kv)
	}
	return found, nil
}
