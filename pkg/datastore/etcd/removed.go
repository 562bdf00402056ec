package etcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrRemoved is returned by a member that the others have removed.
var ErrRemoved = errors.New("this server's etcd member has been removed from the cluster")

// gone says whether a member knows by itself that it was removed.
func gone(s *etcdserver.EtcdServer) bool {
	c, ok := s.Cluster().(interface{ IsIDRemoved(id types.ID) bool })
	return ok && c.IsIDRemoved(s.MemberID())
}

// orphaned is what etcd panics with when it is asked for its status in the
// moment between its removal and its end.
const orphaned = "failed to find local ID in cluster members"

// outlive answers the request in place of ending the process: what else runs
// here is to be stopped in order, and the reason told.
func outlive(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (res any, err error) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case orphaned:
			res, err = nil, status.Error(codes.Unavailable, ErrRemoved.Error())
		default:
			panic(r) // it was one before
		}
	}()
	return handle(ctx, req)
}
