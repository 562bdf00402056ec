package etcd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/log"
	"go.etcd.io/etcd/server/v3/etcdserver"
)

// addressEvery is the pace of telling the other members a new address: it takes
// a majority, which may start later.
const addressEvery = time.Second

// followAddress has the others know this member's address as it is now. etcd
// itself goes on with the one that it was added with.
func followAddress(ctx context.Context, s *etcdserver.EtcdServer, peerURL string) {
	for ctx.Err() == nil {
		changed, err := updateAddress(ctx, s, peerURL)
		if err == nil {
			if changed {
				log.G(ctx).WithField("address", peerURL).Info("this server has another address; etcd's members know it")
			}
			return
		}
		log.G(ctx).WithError(err).WithField("next", addressEvery).Debug("etcd's members do not know this server's address yet")
		select {
		case <-ctx.Done():
		case <-time.After(addressEvery):
		}
	}
}

func updateAddress(ctx context.Context, s *etcdserver.EtcdServer, peerURL string) (changed bool, err error) {
	m := s.Cluster().Member(s.MemberID())
	if m == nil {
		return false, fmt.Errorf("%s is not known as a member", s.MemberID())
	}
	if slices.Equal(m.PeerURLs, []string{peerURL}) {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, enterTimeout)
	defer cancel()
	m.PeerURLs = []string{peerURL}
	if _, err := s.UpdateMember(ctx, *m); err != nil {
		return false, fmt.Errorf("update address of %s: %w", m.Name, err)
	}
	return true, nil
}
