package storetest

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// wait bounds every single step: each takes milliseconds, leases seconds.
const wait = 20 * time.Second

// Run runs the suite against the datastore behind a new client per test.
// Keys are below a prefix of each test's own, so one datastore does for all.
func Run(t *testing.T, client func(t *testing.T) *clientv3.Client) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, store){
		"create once":        createOnce,
		"update by revision": updateByRevision,
		"delete by revision": deleteByRevision,
		"list and page":      listAndPage,
		"read the past":      readThePast,
		"watch":              watch,
		"watch the past":     watchThePast,
		"lease":              lease,
		"compaction":         compaction,
		"compact like API":   compactLikeAPI,
		"many writers":       manyWriters,
		"large value":        largeValue,
		"history":            history,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*wait)
			defer cancel()
			test(t, store{Client: client(t), ctx: ctx, prefix: "/registry/" + name + "/"})
		})
	}
}

// store is a client with the API's own transactions.
type store struct {
	*clientv3.Client
	ctx    context.Context
	prefix string
}

// create puts a key that must not exist yet. It returns the revision, or 0
// when the key exists.
func (s store) create(t *testing.T, key, value string, opts ...clientv3.OpOption) int64 {
	t.Helper()
	key = s.prefix + key
	resp, err := s.Txn(s.ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, value, opts...)).
		Commit()
	if err != nil {
		t.Fatalf("create %s: %v", key, err)
	}
	if !resp.Succeeded {
		return 0
	}
	return resp.Header.Revision
}

// update replaces a key that must still have the revision. Otherwise it
// returns false and the revision that the key has.
func (s store) update(t *testing.T, key, value string, revision int64) (int64, bool) {
	t.Helper()
	key = s.prefix + key
	resp, err := s.Txn(s.ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(key, value)).
		Else(clientv3.OpGet(key)).
		Commit()
	if err != nil {
		t.Fatalf("update %s: %v", key, err)
	}
	if !resp.Succeeded {
		return resp.Responses[0].GetResponseRange().Kvs[0].ModRevision, false
	}
	return resp.Header.Revision, true
}

// remove deletes a key that must still have the revision.
func (s store) remove(t *testing.T, key string, revision int64) bool {
	t.Helper()
	key = s.prefix + key
	resp, err := s.Txn(s.ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpDelete(key)).
		Else(clientv3.OpGet(key)).
		Commit()
	if err != nil {
		t.Fatalf("delete %s: %v", key, err)
	}
	return resp.Succeeded
}

// get returns a key's value, "" when it does not exist.
func (s store) get(t *testing.T, key string, opts ...clientv3.OpOption) string {
	t.Helper()
	resp, err := s.Get(s.ctx, s.prefix+key, opts...)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

func (s store) list(t *testing.T, opts ...clientv3.OpOption) *clientv3.GetResponse {
	t.Helper()
	resp, err := s.Get(s.ctx, s.prefix, append(opts, clientv3.WithPrefix())...)
	if err != nil {
		t.Fatalf("list %s: %v", s.prefix, err)
	}
	return resp
}
