package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func createOnce(t *testing.T, s store) {
	revision := s.create(t, "a", "first")
	if revision == 0 {
		t.Fatal("a new key was refused")
	}
	if s.create(t, "a", "second") != 0 {
		t.Error("a key was created twice")
	}
	if got := s.get(t, "a"); got != "first" {
		t.Errorf("a is %q, want first", got)
	}
	if next := s.create(t, "b", "x"); next <= revision {
		t.Errorf("the next write has revision %d, not above %d", next, revision)
	}
}

func updateByRevision(t *testing.T, s store) {
	first := s.create(t, "a", "1")
	second, ok := s.update(t, "a", "2", first)
	if !ok || second <= first {
		t.Fatalf("update from %d: %d, %t", first, second, ok)
	}
	if current, ok := s.update(t, "a", "3", first); ok || current != second {
		t.Errorf("update from the old revision: %d, %t; want %d, false", current, ok, second)
	}
	if got := s.get(t, "a"); got != "2" {
		t.Errorf("a is %q, want 2", got)
	}
}

func deleteByRevision(t *testing.T, s store) {
	first := s.create(t, "a", "1")
	second, _ := s.update(t, "a", "2", first)
	if s.remove(t, "a", first) {
		t.Error("deleted with an old revision")
	}
	if !s.remove(t, "a", second) {
		t.Error("not deleted with the right revision")
	}
	if got := s.get(t, "a"); got != "" {
		t.Errorf("a is %q after its deletion", got)
	}
	if s.create(t, "a", "again") == 0 {
		t.Error("a deleted key could not be created again")
	}
}

func manyWriters(t *testing.T, s store) {
	const writers, each = 8, 25
	var all sync.WaitGroup
	revisions := make(chan int64, writers*each)
	for w := range writers {
		all.Go(func() {
			for i := range each {
				key := fmt.Sprintf("%s%d-%d", s.prefix, w, i)
				resp, err := s.Txn(s.ctx).
					If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
					Then(clientv3.OpPut(key, key)).Commit()
				if err != nil || !resp.Succeeded {
					t.Errorf("create %s: %v", key, err)
					return
				}
				revisions <- resp.Header.Revision
			}
		})
	}
	all.Wait()
	close(revisions)
	seen := map[int64]bool{}
	for r := range revisions {
		if seen[r] {
			t.Errorf("revision %d was given twice", r)
		}
		seen[r] = true
	}
	if got := s.list(t).Count; got != writers*each {
		t.Errorf("%d keys, want %d", got, writers*each)
	}
}

func largeValue(t *testing.T, s store) {
	// The API takes objects up to 1.5 MiB, which is etcd's own limit.
	value := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	s.create(t, "large", string(value))
	if got := s.get(t, "large"); got != string(value) {
		t.Errorf("%d bytes came back of %d", len(got), len(value))
	}
}
