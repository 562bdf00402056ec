package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// retained is how many of the newest revisions kine keeps in any case.
const retained = 1000

// churn updates one key often enough that kine lets go of the beginning.
func churn(t *testing.T, s store) (first, last int64) {
	t.Helper()
	first = s.create(t, "a", "0")
	last = first
	for i := 1; i <= retained+100; i++ {
		next, ok := s.update(t, "a", strconv.Itoa(i), last)
		if !ok {
			t.Fatalf("update %d was refused", i)
		}
		last = next
	}
	return first, last
}

func compaction(t *testing.T, s store) {
	first, last := churn(t, s)
	if _, err := s.Compact(s.ctx, first+50); err != nil {
		t.Fatalf("compact: %v", err)
	}
	if got, want := s.get(t, "a"), strconv.Itoa(retained+100); got != want {
		t.Errorf("after compaction a is %q, want %q", got, want)
	}
	if got := s.get(t, "a", clientv3.WithRev(last-1)); got != strconv.Itoa(retained+99) {
		t.Errorf("a revision that was kept reads %q", got)
	}
}

// compactLikeAPI does what the API server does every five minutes: it agrees
// with the other servers through a key, and then compacts.
func compactLikeAPI(t *testing.T, s store) {
	first, last := churn(t, s)
	const key = "compact_rev_key"
	resp, err := s.Txn(s.ctx).
		If(clientv3.Compare(clientv3.Version(key), "=", 0)).
		Then(clientv3.OpPut(key, fmt.Sprint(first))).
		Else(clientv3.OpGet(key)).Commit()
	if err != nil || !resp.Succeeded {
		t.Fatalf("agree on the first compaction: %v", err)
	}
	resp, err = s.Txn(s.ctx).
		If(clientv3.Compare(clientv3.Version(key), "=", 0)).
		Then(clientv3.OpPut(key, fmt.Sprint(last))).
		Else(clientv3.OpGet(key)).Commit()
	if err != nil || resp.Succeeded {
		t.Fatalf("a second server compacted too: %v", err)
	}
	kv := resp.Responses[0].GetResponseRange().Kvs[0]
	if kv.Version != 1 || string(kv.Value) != fmt.Sprint(first) {
		t.Errorf("the second server is told version %d, revision %s", kv.Version, kv.Value)
	}
	if _, err := s.Compact(s.ctx, last-retained-10); err != nil {
		t.Fatalf("compact: %v", err)
	}
	_, err = s.Get(s.ctx, s.prefix+"a", clientv3.WithRev(first))
	if !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("reading what was compacted: %v, want %v", err, rpctypes.ErrCompacted)
	}
	watched := <-s.Watch(s.ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithRev(first))
	if !errors.Is(watched.Err(), rpctypes.ErrCompacted) {
		t.Errorf("watching what was compacted: %v, want %v", watched.Err(), rpctypes.ErrCompacted)
	}
}
