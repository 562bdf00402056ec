package server

import (
	"context"
	"fmt"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/rollout"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// leadUpgrades leads upgrades of the cluster.
func leadUpgrades(cfg config.Config, ds *datastore.Datastore) supervisor.Component {
	lead := rollout.NewLeader(rollout.LeadOptions{
		Kubeconfig: pki.KubeconfigOf(cfg.Paths(), pki.Kelp), Node: cfg.Node.Name,
		Voters: func(ctx context.Context) string { return unwell(ctx, cfg, ds) },
	})
	return supervisor.Component{Name: rolloutName, After: []string{api}, Run: lead.Run}
}

// unwell says which of etcd's members is away: with another one away, too, there
// might be no majority.
func unwell(ctx context.Context, cfg config.Config, ds *datastore.Datastore) string {
	if datastore.Kind(cfg) != config.DatastoreEtcd {
		return ""
	}
	client, err := ds.Client()
	if err != nil {
		return err.Error()
	}
	defer client.Close()
	members, err := voters.Observe(ctx, client)
	if err != nil {
		return err.Error()
	}
	for _, m := range members {
		if m.Problem != "" {
			return fmt.Sprintf("the member %s %s", m.Name, m.Problem)
		}
	}
	return ""
}
