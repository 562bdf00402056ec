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
// the last page, at most twice as many as in that, and never more than lastPage:
// what small objects are followed by may be large ones, and 200 of 400 kB, read at
// once, were 80 MB that others' writes waited for.
const (
	firstPage, lastPage = 10, 32
	pageBytes           = 256 << 10
)

// Gentle reading rests for three times as long as a request took, and for so long
// that no more than gentleRate bytes are read in a second, but not for longer than
// maxPause: 100 MB take six seconds or more.
const (
	restFactor = 3
	gentleRate = 16 << 20
	maxPause   = time.Second
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
	// Kine says that it is kine. There, the id of a lease is its number of seconds,
	// and the values of all keys of a range are read, sorted and thrown away for a
	// request that has but a few of them.
	Kine bool
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
	var names []string // those from next on, where they are known
	if from.Kine {
		var err error
		if names, revision, err = list(ctx, from.Client); err != nil {
			return err
		}
	}
	for next, limit := all, firstPage; next != ""; {
		end, opts := clientv3.GetPrefixRangeEnd(all), []clientv3.OpOption{clientv3.WithLimit(int64(limit)), clientv3.WithRev(revision)}
		if from.Kine && len(names) > limit {
			end, names = names[limit], names[limit:]
		}
		began := time.Now()
		res, err := from.Client.Get(ctx, next, append(opts, clientv3.WithRange(end))...)
		if err != nil {
			return fmt.Errorf("read keys from %q on: %w", next, err)
		}
		if revision == 0 {
			revision = res.Header.Revision
		}
		switch {
		case end != clientv3.GetPrefixRangeEnd(all):
			next = end
		case res.More && len(res.Kvs) > 0:
			next = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
		default:
			next = ""
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
			case <-time.After(rest(res.Kvs, time.Since(began))):
			}
		}
	}
	return nil
}

// list returns the names of all keys, in their order, and the revision.
func list(ctx context.Context, client *clientv3.Client) ([]string, int64, error) {
	res, err := client.Get(ctx, all, clientv3.WithRange(clientv3.GetPrefixRangeEnd(all)), clientv3.WithKeysOnly())
	if err != nil {
		return nil, 0, fmt.Errorf("list the keys: %w", err)
	}
	names := make([]string, len(res.Kvs))
	for i, kv := range res.Kvs {
		names[i] = string(kv.Key)
	}
	return names, res.Header.Revision, nil
}

// rest is how long to rest after keys whose reading took so long.
func rest(keys []*mvccpb.KeyValue, took time.Duration) time.Duration {
	paced := time.Duration(sizeOf(keys)) * time.Second / gentleRate
	return min(max(restFactor*took, paced-took), maxPause)
}

func sizeOf(keys []*mvccpb.KeyValue) int {
	size := 0
	for _, kv := range keys {
		size += len(kv.Value)
	}
	return size
}

// pageAfter is how many keys to ask for after these.
func pageAfter(keys []*mvccpb.KeyValue) int {
	return min(max(len(keys)*pageBytes/(sizeOf(keys)+1), 1), lastPage)
}

// normal leaves out what is none of the API's, and makes seconds of leases.
func normal(ctx context.Context, from Source, keys []*mvccpb.KeyValue, leases map[int64]int64) ([]*mvccpb.KeyValue, error) {
	var found []*mvccpb.KeyValue
	for _, kv := range keys {
		if string(kv.Key) == healthKey {
			continue
		}
		if kv.Lease != 0 && !from.Kine {
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
