package datastore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/datastore/space"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// A member that is full raises an alarm and takes no writes. It says so, and goes
// on by itself when what filled it is deleted.
func TestAFullDatastoreGoesOnWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.in.User = []string{fmt.Sprintf("quota-backend-bytes=%d", 96<<20)}
	d := newEtcd(m.in, m.paths)
	if err := d.With(t.Context(), func(ctx context.Context, client *clientv3.Client) error {
		s := space.New(space.Options{Connect: d.Client, Own: d.Endpoint().URLs[0], Disk: m.cfg.DataDir})
		ctx, stop := context.WithCancel(ctx)
		watching := make(chan error, 1)
		go func() { watching <- s.Watch(ctx) }()
		defer func() { stop(); <-watching }()
		if err := poll.Until(ctx, 20*time.Second, func(context.Context) error {
			if s.Usage().Quota == 0 {
				return errors.New("the quota is not known")
			}
			return nil
		}); err != nil {
			return err
		}
		value := strings.Repeat("x", 1<<20)
		var full error
		for i := 0; full == nil && i < 200; i++ {
			_, full = client.Put(ctx, fmt.Sprintf("/fill/%d", i), value)
		}
		if full == nil {
			return errors.New("200 MB fit into 96")
		}
		if _, err := client.Delete(ctx, "/fill/", clientv3.WithPrefix()); err != nil {
			return fmt.Errorf("a full datastore does not let objects be deleted: %w", err)
		}
		if _, err := client.Put(ctx, "/after", "x"); err == nil {
			return errors.New("it takes writes before anybody has made room")
		}
		go func() { watching <- s.Tend(ctx) }()
		err := poll.Until(ctx, 2*time.Minute, func(ctx context.Context) error {
			_, err := client.Put(ctx, "/after", "x")
			return err
		})
		stop()
		return errors.Join(err, <-watching)
	}); err != nil {
		t.Fatal(err)
	}
}
