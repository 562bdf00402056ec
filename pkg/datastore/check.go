package datastore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Checker returns a function that says whether the etcd member at host:port can
// be asked: it is a voter and knows a leader. The function keeps a connection to
// each member that it was asked about.
func (d *Datastore) Checker() func(ctx context.Context, server string) error {
	var mu sync.Mutex
	clients := map[string]*clientv3.Client{}
	of := func(server string) (*clientv3.Client, error) {
		mu.Lock()
		defer mu.Unlock()
		if c := clients[server]; c != nil {
			return c, nil
		}
		c, err := d.Client("https://" + server)
		if err == nil {
			clients[server] = c
		}
		return c, err
	}
	return func(ctx context.Context, server string) error {
		client, err := of(server)
		if err != nil {
			return err
		}
		status, err := pb.NewMaintenanceClient(client.ActiveConnection()).Status(ctx, &pb.StatusRequest{})
		switch {
		case err != nil:
			return fmt.Errorf("ask etcd member %s: %w", server, err)
		case status.GetIsLearner():
			return errors.New("it is a learner, which answers nothing")
		case status.GetLeader() == 0:
			return errors.New("it knows no leader")
		}
		return nil
	}
}
