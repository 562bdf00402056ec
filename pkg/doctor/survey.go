package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// surveyTimeout bounds what kelp status asks the cluster: without an answer it
// shows this machine's part alone.
const surveyTimeout = 3 * time.Second

// Survey asks for the whole cluster. It takes a moment while the cluster is well,
// and a few seconds at most when it is not. Nothing is asked of an API server
// that st says is not ready.
func Survey(ctx context.Context, cfg config.Config, st Status) Overview {
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var o Overview
	server, _ := join.HasKeys(cfg.Paths())
	var work sync.WaitGroup
	work.Go(func() {
		if list, err := pki.List(cfg); err == nil {
			o.Certificate = firstEnding(list)
		}
	})
	var members []voters.Member
	if server {
		o.Store.Kind = datastore.Kind(cfg)
		work.Go(func() { members = surveyEtcd(ctx, cfg, &o.Store) })
	}
	var seen Cluster
	if waiting := notServing(st.Snapshot); waiting != "" {
		o.Problem = waiting
	} else {
		work.Go(func() { o.Problem = surveyAPI(ctx, cfg, server, &seen) })
	}
	work.Wait()
	summarise(&o, seen, members)
	return o
}

// notServing is why the API cannot be asked, of a server.
func notServing(s supervisor.Snapshot) string {
	for _, c := range s.Components {
		if c.Name == "apiserver" && c.State != supervisor.Ready && c.State != supervisor.Degraded {
			return "the API server is " + string(c.State)
		}
	}
	return ""
}

func surveyEtcd(ctx context.Context, cfg config.Config, s *StoreState) []voters.Member {
	if s.Kind != config.DatastoreEtcd {
		return nil
	}
	client, err := datastore.New(cfg).Client()
	if err != nil {
		s.Problem = err.Error()
		return nil
	}
	defer client.Close()
	members, err := voters.Observe(ctx, client)
	if err != nil {
		s.Problem = err.Error()
	}
	return members
}

func surveyAPI(ctx context.Context, cfg config.Config, server bool, seen *Cluster) string {
	c, err := connect(cfg, server)
	if err != nil {
		return err.Error()
	}
	l := &looker{clients: c, errs: map[string]string{}}
	if !server {
		ownNode(ctx, l, seen, cfg.Node.Name)
		l.work.Wait()
		if why := l.errs["nodes"]; why != "" {
			return why
		}
		return "this is an agent: ask a server for the other machines"
	}
	l.list("nodes", func() (err error) {
		seen.Nodes, err = c.nodes(ctx)
		return err
	})
	l.list("snapshots", func() (err error) {
		seen.Snapshots, err = c.objects(ctx, snapshotResource)
		return err
	})
	l.list("upgrades", func() (err error) {
		seen.Upgrades, err = c.objects(ctx, upgradeResource)
		return err
	})
	l.list("leases", func() error {
		lease, err := c.kube.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, leaseName, metav1.GetOptions{})
		if err == nil {
			seen.Leases = append(seen.Leases, *lease)
		}
		if apierrors.IsNotFound(err) {
			return nil // there is one server
		}
		return err
	})
	l.work.Wait()
	for _, what := range []string{"nodes", "leases", "snapshots"} {
		if why := l.errs[what]; why != "" {
			return fmt.Sprintf("%s could not be listed: %s", what, why)
		}
	}
	return ""
}
