package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// leaveWithin is how long a server's removal may take: the one that sees to it
// may have to be found first, when the server that leaves was it.
const leaveWithin = 2 * time.Minute

// Leave takes this server out of its cluster, or says why it must stay. The
// wish is kept in the cluster: it is carried out by whoever runs, also when
// Leave is interrupted or a server restarts meanwhile.
func Leave(ctx context.Context, cfg config.Config) error {
	switch datastore.Kind(cfg) {
	case config.DatastoreExternal:
		return errors.New("this server keeps nothing that others need: stop kelp on it, and kelp kubectl delete node " + cfg.Node.Name + " elsewhere")
	case config.DatastoreSQLite:
		return errors.New("this is the only server of its cluster: there is nothing to leave")
	}
	ds := datastore.New(cfg)
	client, err := ds.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	members, err := voters.Observe(ctx, client)
	if err != nil {
		return fmt.Errorf("this server cannot leave now: %w", err)
	}
	own, err := mayLeave(members, cfg.Node.Name)
	if err != nil {
		return err
	}
	api, err := kelpClient(cfg)
	if err != nil {
		return err
	}
	if err := api.CoreV1().Nodes().Delete(ctx, cfg.Node.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete node %s: %w", cfg.Node.Name, err)
	}
	return awaitRemoval(ctx, ds, members, own)
}

// mayLeave returns the member of that name, if the others do without it.
func mayLeave(members []voters.Member, name string) (voters.Member, error) {
	i := slices.IndexFunc(members, func(m voters.Member) bool { return m.Name == name })
	switch {
	case i < 0:
		return voters.Member{}, fmt.Errorf("%s is no member of etcd: it has left already, or has never joined", name)
	case len(members) == 1:
		return voters.Member{}, errors.New("this is the only server of its cluster: there is nothing to leave")
	case !voters.MayLeave(members, members[i]):
		return voters.Member{}, fmt.Errorf("without %s etcd would have no majority: kelp etcd members shows which servers do not answer; start them, or let learners catch up, and try again", name)
	}
	return members[i], nil
}

// awaitRemoval asks the others, for this server's own API ends with its member.
func awaitRemoval(ctx context.Context, ds *datastore.Datastore, members []voters.Member, own voters.Member) error {
	var others []string
	for _, m := range members {
		if m.ID != own.ID && !m.Learner {
			others = append(others, m.URLs...)
		}
	}
	client, err := ds.Client(others...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := poll.Until(ctx, leaveWithin, func(ctx context.Context) error { return isGone(ctx, client, own) }); err != nil {
		return fmt.Errorf("the node %s is being deleted, and its etcd member is still there: kelp goes on trying: %w", own.Name, err)
	}
	return nil
}

func isGone(ctx context.Context, client *clientv3.Client, own voters.Member) error {
	list, err := client.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("list etcd's members: %w", err)
	}
	for _, m := range list.Members {
		if m.ID == own.ID {
			return errors.New("it has not been removed yet")
		}
	}
	return nil
}
