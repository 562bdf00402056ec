package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

func listAndPage(t *testing.T, s store) {
	for i := range 10 {
		s.create(t, fmt.Sprintf("%02d", i), fmt.Sprint(i))
	}
	first := s.list(t, clientv3.WithLimit(4))
	if len(first.Kvs) != 4 || !first.More || first.Count != 10 {
		t.Fatalf("first page: %d keys, more %t, count %d", len(first.Kvs), first.More, first.Count)
	}
	s.create(t, "99", "later")
	next := string(first.Kvs[3].Key) + "\x00"
	rest, err := s.Get(s.ctx, next, clientv3.WithRange(clientv3.GetPrefixRangeEnd(s.prefix)), clientv3.WithRev(first.Header.Revision))
	if err != nil {
		t.Fatal(err)
	}
	if len(rest.Kvs) != 6 || string(rest.Kvs[0].Value) != "4" || string(rest.Kvs[5].Value) != "9" {
		t.Errorf("the rest, as of the first page: %d keys, want 4 to 9", len(rest.Kvs))
	}
	if count := s.list(t, clientv3.WithCountOnly()).Count; count != 11 {
		t.Errorf("count is %d, want 11", count)
	}
}

func readThePast(t *testing.T, s store) {
	first := s.create(t, "a", "1")
	second, _ := s.update(t, "a", "2", first)
	s.remove(t, "a", second)
	for revision, want := range map[int64]string{first: "1", second: "2", second + 1: ""} {
		if got := s.get(t, "a", clientv3.WithRev(revision)); got != want {
			t.Errorf("at %d a was %q, want %q", revision, got, want)
		}
	}
	_, err := s.Get(s.ctx, s.prefix+"a", clientv3.WithRev(second+1000))
	if !errors.Is(err, rpctypes.ErrFutureRev) {
		t.Errorf("reading the future: %v, want %v", err, rpctypes.ErrFutureRev)
	}
}

// next returns the next event, and fails the test when none comes.
func next(t *testing.T, events <-chan clientv3.WatchResponse, rest *[]*clientv3.Event) *clientv3.Event {
	t.Helper()
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for len(*rest) == 0 {
		select {
		case resp, ok := <-events:
			if !ok || resp.Err() != nil {
				t.Fatalf("watch ended: %v", resp.Err())
			}
			*rest = resp.Events
		case <-limit.C:
			t.Fatal("no event came")
		}
	}
	event := (*rest)[0]
	*rest = (*rest)[1:]
	return event
}

func watch(t *testing.T, s store) {
	events := s.Watch(s.ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	if resp := <-events; !resp.Created {
		t.Fatalf("the first answer of a watch is %+v", resp)
	}
	first := s.create(t, "a", "1")
	second, _ := s.update(t, "a", "2", first)
	s.remove(t, "a", second)
	var rest []*clientv3.Event
	if e := next(t, events, &rest); !e.IsCreate() || string(e.Kv.Value) != "1" || e.Kv.ModRevision != first {
		t.Errorf("first event: %v", e)
	}
	if e := next(t, events, &rest); !e.IsModify() || string(e.Kv.Value) != "2" || string(e.PrevKv.Value) != "1" {
		t.Errorf("second event: %v", e)
	}
	if e := next(t, events, &rest); e.Type != clientv3.EventTypeDelete || string(e.PrevKv.Value) != "2" {
		t.Errorf("third event: %v", e)
	}
}

func watchThePast(t *testing.T, s store) {
	first := s.create(t, "a", "1")
	for i := range 5 {
		s.create(t, fmt.Sprint("b", i), "x")
	}
	events := s.Watch(s.ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithRev(first+1))
	var rest []*clientv3.Event
	for i := range 5 {
		if e := next(t, events, &rest); string(e.Kv.Key) != fmt.Sprint(s.prefix, "b", i) {
			t.Errorf("event %d is of %s", i, e.Kv.Key)
		}
	}
}

func lease(t *testing.T, s store) {
	granted, err := s.Grant(s.ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.create(t, "short", "x", clientv3.WithLease(granted.ID))
	s.create(t, "long", "x")
	err = poll.Until(s.ctx, wait, func(ctx context.Context) error {
		resp, err := s.Get(ctx, s.prefix+"short")
		if err != nil {
			return err
		}
		if len(resp.Kvs) > 0 {
			return errors.New("the key is still there")
		}
		return nil
	})
	if err != nil {
		t.Errorf("a lease of one second: %v", err)
	}
	if s.get(t, "long") == "" {
		t.Error("a key without a lease is gone")
	}
}
