package kine

import (
	"context"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// stored is a kine that holds one key at a revision.
type stored struct {
	etcdserverpb.UnimplementedKVServer
	revision int64 // 0: it holds none
}

func (s stored) Range(_ context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	res := &etcdserverpb.RangeResponse{}
	if s.revision != 0 && s.revision <= r.Revision {
		res.Kvs = []*mvccpb.KeyValue{{Key: r.Key, ModRevision: s.revision}}
	}
	return res, nil
}

// txn is a transaction as the API server makes it.
func txn(expected int64, op clientv3.Op) *etcdserverpb.TxnRequest {
	unchanged := &etcdserverpb.Compare{
		Target: etcdserverpb.Compare_MOD, Result: etcdserverpb.Compare_EQUAL, Key: []byte("/k"),
		TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: expected},
	}
	req := &etcdserverpb.TxnRequest{Compare: []*etcdserverpb.Compare{unchanged}}
	if op.IsPut() {
		req.Success = []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: &etcdserverpb.PutRequest{Key: []byte("/k")}}}}
	} else {
		req.Success = []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestDeleteRange{RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{Key: []byte("/k")}}}}
	}
	return req
}

func answered(succeeded bool, revision, found int64) *etcdserverpb.TxnResponse {
	res := &etcdserverpb.TxnResponse{Succeeded: succeeded, Header: &etcdserverpb.ResponseHeader{Revision: revision}}
	if found != 0 {
		kv := &mvccpb.KeyValue{Key: []byte("/k"), ModRevision: found}
		res.Responses = []*etcdserverpb.ResponseOp{{Response: &etcdserverpb.ResponseOp_ResponseRange{ResponseRange: &etcdserverpb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv}}}}}
	}
	return res
}

func TestWritesThatWereNotTaken(t *testing.T) {
	t.Parallel()
	put, remove := clientv3.OpPut("/k", ""), clientv3.OpDelete("/k")
	for name, c := range map[string]struct {
		request *etcdserverpb.TxnRequest
		answer  *etcdserverpb.TxnResponse
		holds   int64
		lost    bool
	}{
		"a new key":                            {txn(0, put), answered(true, 7, 0), 7, false},
		"a new key that is not there":          {txn(0, put), answered(true, 7, 0), 0, true},
		"a new key that is older":              {txn(0, put), answered(true, 7, 0), 5, true},
		"a new key that was there":             {txn(0, put), answered(false, 7, 5), 5, false},
		"a change":                             {txn(5, put), answered(true, 7, 0), 7, false},
		"a change after another one":           {txn(5, put), answered(false, 7, 6), 6, false},
		"a change that nobody was faster than": {txn(5, put), answered(false, 7, 5), 5, true},
		"a removal":                            {txn(5, remove), answered(true, 7, 0), 0, false},
		"a removal that was not made":          {txn(5, remove), answered(false, 7, 5), 5, true},
		"a removal of what is gone":            {txn(5, remove), answered(false, 7, 0), 0, false},
	} {
		info := &grpc.UnaryServerInfo{Server: stored{revision: c.holds}}
		res, err := honest(t.Context(), c.request, info, func(context.Context, any) (any, error) { return c.answer, nil })
		if (err != nil) != c.lost || (res == nil) != c.lost {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
}

// A write that was not taken is tried again, for nothing of it is there.
func TestAWriteThatIsTakenTheSecondTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []*etcdserverpb.TxnResponse
		tries   int
		lost    bool
	}{
		"at once":                       {[]*etcdserverpb.TxnResponse{answered(true, 7, 0)}, 1, false},
		"the second time":               {[]*etcdserverpb.TxnResponse{answered(false, 7, 5), answered(true, 8, 0)}, 2, false},
		"somebody was faster meanwhile": {[]*etcdserverpb.TxnResponse{answered(false, 7, 5), answered(false, 8, 8)}, 2, false},
		"never":                         {[]*etcdserverpb.TxnResponse{answered(false, 7, 5), answered(false, 7, 5), answered(false, 7, 5), answered(true, 8, 0)}, attempts, true},
	} {
		tries := 0
		_, err := honest(t.Context(), txn(5, clientv3.OpPut("/k", "")), &grpc.UnaryServerInfo{Server: stored{}}, func(context.Context, any) (any, error) {
			tries++
			return c.answers[tries-1], nil
		})
		if tries != c.tries || (err != nil) != c.lost {
			t.Errorf("%s: %d tries, %v", name, tries, err)
		}
	}
}
