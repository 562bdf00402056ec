package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
)

// lookTimeout bounds everything that is asked for in one look: a person waits.
const lookTimeout = 20 * time.Second

// clients are what the API is asked through.
type clients struct {
	rest    *rest.Config
	kube    kubernetes.Interface
	dynamic dynamic.Interface
}

// connect makes clients of the API, as kelp itself on a server and as the node
// on an agent. Nothing is asked yet.
func connect(cfg config.Config, server bool) (clients, error) {
	identity := pki.Kubelet
	if server {
		identity = pki.Kelp
	}
	path := pki.KubeconfigOf(cfg.Paths(), identity)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return clients{}, errors.New("kelp has never run on this machine: there is no " + path)
	}
	conf, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return clients{}, err
	}
	conf.QPS, conf.WarningHandler = -1, rest.NoWarnings{}
	c := clients{rest: conf}
	kube, kubeErr := kubernetes.NewForConfig(conf)
	dyn, dynErr := dynamic.NewForConfig(conf)
	c.kube, c.dynamic = kube, dyn
	return c, errors.Join(kubeErr, dynErr)
}

// Look collects all evidence. It never fails: what cannot be seen is evidence,
// too. Host are answers about the machine, from whoever has looked at it; broken
// is why the configuration cannot be read, empty if it can.
func Look(ctx context.Context, cfg config.Config, broken string, host []Answer) Evidence {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	e := Evidence{Now: time.Now(), Config: cfg, Broken: broken, Host: host}
	e.Server, _ = join.HasKeys(cfg.Paths())
	var work sync.WaitGroup
	work.Go(func() { e.Unit = observeUnit(ctx, e.Server) })
	work.Go(func() { e.Status, e.StatusErr = observeStatus(ctx, cfg) })
	work.Go(func() { e.Certificates, e.CertificatesErr = observeCertificates(cfg, e.Server) })
	if e.Server {
		work.Go(func() { e.Store = observeStore(ctx, cfg) })
	}
	work.Go(func() {
		c, err := connect(cfg, e.Server)
		if err != nil {
			e.API.Err = err.Error()
			return
		}
		e.API = observeAPI(ctx, c)
		if e.API.Answers() {
			limit := lookTimeout
			if len(e.API.Failed) > 0 {
				limit = apiTimeout // lists may wait for the very thing that fails
			}
			limited, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			e.Cluster, e.API.Lists = observeCluster(limited, c, cfg, e.Server)
		}
	})
	work.Wait()
	if e.API.Answers() {
		work.Go(func() { e.DNS = observeDNS(ctx, cfg) })
		work.Go(func() { e.Reach = observeReach(ctx, cfg, e.Cluster.Nodes) })
		if e.Server {
			work.Go(func() { e.Cluster.Tunnels = observeTunnels(ctx, cfg, e.Cluster.Nodes) })
		}
		work.Wait()
	}
	return e
}

func observeStatus(ctx context.Context, cfg config.Config) (*Status, string) {
	st, err := Ask(ctx, cfg.Paths().StatusSocket)
	if err != nil {
		return nil, err.Error()
	}
	return &st, ""
}

// observeCertificates lists those that are there: an agent has few of the
// table's.
func observeCertificates(cfg config.Config, server bool) ([]pki.Status, string) {
	list, err := pki.List(cfg)
	if err != nil && server {
		return nil, err.Error()
	}
	return list, ""
}
