package datastore

import (
	"context"
	"errors"
	"fmt"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A second voter that nobody has started takes the majority away at once, and the
// member still names itself as the leader then.
func TestAMemberWithoutItsMajoritySettles(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	d := newEtcd(m.in, m.paths)
	url := d.Endpoint().URLs[0]
	if err := d.With(t.Context(), func(ctx context.Context, client *clientv3.Client) error {
		if _, err := d.Settled(ctx, url); !errors.Is(err, ErrLeader) {
			t.Errorf("with a majority: %v, want %v", err, ErrLeader)
		}
		if _, err := client.MemberAdd(ctx, []string{"https://127.0.0.1:1"}); err != nil {
			return fmt.Errorf("take the majority away: %w", err)
		}
		if s, err := client.Status(ctx, url); err != nil || s.Leader == 0 {
			return fmt.Errorf("right after that the member names no leader: %v, %w: this test shows nothing", s, err)
		}
		s, err := d.Settled(ctx, url)
		if err != nil || s.Leader != 0 || s.Header.Revision == 0 {
			t.Errorf("without a majority: %v, %v, want no leader, and a revision", s, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
