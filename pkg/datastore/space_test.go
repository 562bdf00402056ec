package datastore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
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

// A member that is alone takes no writes when its disk has hardly any room left: at
// the first one that fails etcd would end the process. It can be read meanwhile, says
// why, and goes on by itself when there is room.
func TestAMemberRestsBeforeItsDiskIsFull(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	d := newEtcd(m.in, m.paths)
	var free atomic.Int64
	free.Store(20 << 20)
	if err := d.With(t.Context(), func(ctx context.Context, client *clientv3.Client) error {
		if _, err := client.Put(ctx, "/before", "x"); err != nil {
			return err
		}
		s := space.New(space.Options{Connect: d.Client, Own: d.Endpoint().URLs[0], Members: true, Disk: m.cfg.DataDir,
			Room: func(string) (int64, int64, error) { return free.Load(), 100 << 30, nil }})
		ctx, stop := context.WithCancel(ctx)
		running := make(chan error, 3)
		go func() { running <- s.Watch(ctx) }()
		err := poll.Until(ctx, 20*time.Second, func(ctx context.Context) error {
			_, put := client.Put(ctx, "/during", "x")
			if ready := s.Ready(ctx); put == nil || ready == nil || !strings.Contains(ready.Error(), "takes no writes: make room") {
				return fmt.Errorf("it takes writes: %v, and says %v", put, ready)
			}
			return nil
		})
		if res, getting := client.Get(ctx, "/before"); getting != nil || len(res.Kvs) != 1 {
			err = errors.Join(err, fmt.Errorf("it cannot be read: %+v, %w", res, getting))
		}
		// The alarm is seen by whoever asks, and not raised again and again.
		roomy := space.New(space.Options{Connect: d.Client, Own: d.Endpoint().URLs[0], Members: true})
		go func() { running <- roomy.Watch(ctx) }()
		err = errors.Join(err, poll.Until(ctx, 20*time.Second, func(context.Context) error {
			if !roomy.Usage().Alarm {
				return errors.New("nobody sees the alarm")
			}
			return nil
		}))
		free.Store(50 << 30)
		go func() { running <- s.Tend(ctx) }() // it looks at once, and then twice a minute
		err = errors.Join(err, poll.Until(ctx, time.Minute, func(ctx context.Context) error {
			_, err := client.Put(ctx, "/after", "x")
			return err
		}))
		stop()
		return errors.Join(err, <-running, <-running, <-running)
	}); err != nil {
		t.Fatal(err)
	}
}
