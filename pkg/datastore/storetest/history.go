package storetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// change is a write that was acknowledged, or an event.
type change struct {
	revision int64
	key      string
	value    string // "" for a deletion
	over     int64  // the revision that it replaced, 0 for none
}

// history has writers contend for few keys, and finds what the Kubernetes API's
// caches would be wrong by: a write that a watch does not tell of, tells of twice or
// out of order, also one that is cut off and goes on from where it was, and a list
// that is not what the writes up to its revision make.
func history(t *testing.T, s store) {
	const writers, each, keys = 6, 120, 8
	began := s.create(t, "begin", "x")
	watched := make(chan []change, 2)
	for _, cut := range []bool{false, true} {
		go func() { watched <- follow(t, s, began+1, cut) }()
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var acknowledged []change
	var lists []*clientv3.GetResponse
	for w := range writers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range each {
				key := fmt.Sprint(s.prefix, "key-", random.IntN(keys))
				c, list, err := contend(s, key, fmt.Sprintf("%d-%d", w, i), random.IntN(5) == 0)
				if err != nil {
					t.Errorf("write %s: %v", key, err)
					return
				}
				mu.Lock()
				if c != nil {
					acknowledged = append(acknowledged, *c)
				}
				if i%10 == 0 {
					lists = append(lists, list)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	s.create(t, endKey, "x")
	slices.SortFunc(acknowledged, func(a, b change) int { return int(a.revision - b.revision) })
	chained(t, acknowledged)
	for range 2 {
		same(t, <-watched, acknowledged)
	}
	for _, list := range lists {
		replay(t, s, list, acknowledged)
	}
	if len(acknowledged) < each {
		t.Errorf("%d of %d writes were taken: they did not contend", len(acknowledged), writers*each)
	}
}

// endKey is what a watch has told of when it has told of everything.
const endKey = "end"

// contend changes a key, or deletes it, if nobody was faster, and returns what was
// acknowledged; and a list of what there was before.
func contend(s store, key, value string, remove bool) (*change, *clientv3.GetResponse, error) {
	list, err := s.Get(s.ctx, s.prefix+"key-", clientv3.WithPrefix())
	if err != nil {
		return nil, nil, err
	}
	var over int64
	for _, kv := range list.Kvs {
		if string(kv.Key) == key {
			over = kv.ModRevision
		}
	}
	op := clientv3.OpPut(key, value)
	if remove {
		if over == 0 {
			return nil, list, nil
		}
		op, value = clientv3.OpDelete(key), ""
	}
	txn := s.Txn(s.ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", over)).Then(op)
	if over != 0 {
		txn = txn.Else(clientv3.OpGet(key))
	}
	res, err := txn.Commit()
	if err != nil || !res.Succeeded {
		return nil, list, err
	}
	return &change{res.Header.Revision, key, value, over}, list, nil
}

// follow watches from a revision on until the end; a watch that is cut goes on from
// after the last revision that it was told of, as the API server's does.
func follow(t *testing.T, s store, from int64, cut bool) (told []change) {
	for {
		ctx, stop := context.WithCancel(s.ctx)
		events := 0
		for res := range s.Watch(ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithPrevKV()) {
			if err := res.Err(); err != nil {
				t.Errorf("a watch has ended: %v", err)
				stop()
				return told
			}
			for _, e := range res.Events {
				if string(e.Kv.Key) == s.prefix+endKey {
					stop()
					return told
				}
				c := change{revision: e.Kv.ModRevision, key: string(e.Kv.Key), value: string(e.Kv.Value)}
				if e.PrevKv != nil {
					c.over = e.PrevKv.ModRevision
				}
				told, from = append(told, c), e.Kv.ModRevision+1
			}
			if events += len(res.Events); cut && events > 20 {
				break
			}
		}
		stop()
		if s.ctx.Err() != nil {
			t.Error("a watch was not told of the last write")
			return told
		}
	}
}

// chained finds a write that replaced something else than what was there.
func chained(t *testing.T, all []change) {
	t.Helper()
	at := map[string]int64{}
	for _, c := range all {
		if c.over != at[c.key] {
			t.Errorf("revision %d of %s replaced %d, where %d was", c.revision, c.key, c.over, at[c.key])
		}
		at[c.key] = c.revision
		if c.value == "" {
			at[c.key] = 0
		}
	}
}

// same compares what a watch has told with what was acknowledged.
func same(t *testing.T, told, want []change) {
	t.Helper()
	for i := range max(len(told), len(want)) {
		switch {
		case i >= len(told) || i >= len(want):
			t.Fatalf("a watch has told of %d changes, and there were %d", len(told), len(want))
		case told[i] != want[i]:
			t.Fatalf("change %d: a watch has told of %+v, and it was %+v", i, told[i], want[i])
		}
	}
}

// replay compares a list with what the writes up to its revision make.
func replay(t *testing.T, s store, list *clientv3.GetResponse, all []change) {
	t.Helper()
	want, got := map[string]string{}, map[string]string{}
	for _, c := range all {
		switch {
		case c.revision > list.Header.Revision:
		case c.value == "":
			delete(want, c.key)
		default:
			want[c.key] = c.value
		}
	}
	for _, kv := range list.Kvs {
		got[string(kv.Key)] = string(kv.Value)
	}
	if !maps.Equal(got, want) {
		t.Errorf("a list of revision %d below %s is %v, and the writes make %v", list.Header.Revision, s.prefix, got, want)
	}
}
