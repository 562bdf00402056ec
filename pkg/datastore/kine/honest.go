package kine

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/log"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errNotWritten is the answer to a write that the database has refused.
var errNotWritten = status.Error(codes.Internal, "the datastore has not taken the write: its database or disk is full or fails")

// attempts is how often a write is tried that the database does not take. It has
// been seen to refuse one, right after a start, and to take the same one at once; a
// full disk refuses all.
const attempts = 3

// honest sees to it that a transaction which says that it wrote has done so.
// When the database refuses a row, as with a full disk, kine (0.17.5) says of a
// new key that it was written, and of others that somebody else was faster: the
// first loses what was acknowledged, the second is tried again without end.
// Remove when kine returns the database's errors.
func honest(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	for attempt := 1; ; attempt++ {
		if answer, err = checked(ctx, request, info, handler); !errors.Is(err, errNotWritten) {
			return answer, err
		}
		key, _, _ := compared(request.(*etcdserverpb.TxnRequest)) // others are never errNotWritten
		at := log.G(ctx).WithError(err).WithField("key", string(key)).WithField("attempt", attempt)
		if attempt == attempts || ctx.Err() != nil {
			at.Error("a write was not taken by the database")
			return nil, err
		}
		at.Debug("a write was not taken by the database, and is tried again") // nothing was written
	}
}

// checked runs a transaction once. The error is errNotWritten when the database has
// not taken it.
func checked(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	answer, err := handler(ctx, request)
	req, isTxn := request.(*etcdserverpb.TxnRequest)
	res, answered := answer.(*etcdserverpb.TxnResponse)
	if err != nil || !isTxn || !answered {
		return answer, err
	}
	key, expected, known := compared(req)
	if !known {
		return answer, nil
	}
	if res.Succeeded && expected == 0 && puts(req) {
		err = wasWritten(ctx, info.Server, key, res.GetHeader().GetRevision())
	} else if !res.Succeeded && expected != 0 && at(res) == expected {
		err = errNotWritten // nobody was faster: it is what it was
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// compared is the key of a transaction and the revision that it has to have, as
// the API server compares them.
func compared(req *etcdserverpb.TxnRequest) (key []byte, revision int64, ok bool) {
	if len(req.Compare) != 1 || len(req.Success) != 1 {
		return nil, 0, false
	}
	c := req.Compare[0]
	return c.Key, c.GetModRevision(), c.Target == etcdserverpb.Compare_MOD && c.Result == etcdserverpb.Compare_EQUAL
}

func puts(req *etcdserverpb.TxnRequest) bool { return req.Success[0].GetRequestPut() != nil }

// at is the revision of the key that a transaction has found instead.
func at(res *etcdserverpb.TxnResponse) int64 {
	for _, r := range res.Responses {
		for _, kv := range r.GetResponseRange().GetKvs() {
			return kv.ModRevision
		}
	}
	return 0
}

// wasWritten reads a key at the revision that its write is said to have had.
func wasWritten(ctx context.Context, server any, key []byte, revision int64) error {
	kv, ok := server.(etcdserverpb.KVServer)
	if !ok {
		return fmt.Errorf("kine's server is a %T", server)
	}
	res, err := kv.Range(ctx, &etcdserverpb.RangeRequest{Key: key, Revision: revision, KeysOnly: true})
	if err != nil {
		return fmt.Errorf("read back what was written: %w", err)
	}
	if len(res.Kvs) != 1 || res.Kvs[0].ModRevision != revision {
		return errNotWritten
	}
	return nil
}
