package main

import (
	"context"
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/tests/hosts"
)

// system is what is measured: a way to run Kubernetes on one host.
type system interface {
	// install puts it on the host without starting it.
	install(ctx context.Context, b *bench, h *hosts.Host) error
	// units are the systemd units that it consists of; the last one is started
	// and pulls in the others.
	units() []string
	// kubeconfig is the administrator's, on the host.
	kubeconfig() string
	// packaged is how many Deployments it brings along.
	packaged() int
}

func systemOf(name string) (system, error) {
	switch name {
	case "kelp-sqlite":
		return kelp{"sqlite"}, nil
	case "kelp-etcd":
		return kelp{"etcd"}, nil
	case "separate":
		return separate{}, nil
	}
	return nil, fmt.Errorf("unknown system %q: kelp-sqlite, kelp-etcd, separate", name)
}

// kelp is the binary under test with one of its datastores.
type kelp struct{ datastore string }

func (kelp) units() []string    { return []string{"kelp"} }
func (kelp) kubeconfig() string { return "/etc/kelp/kubeconfig.yaml" }
func (kelp) packaged() int      { return 3 }

func (k kelp) install(ctx context.Context, b *bench, h *hosts.Host) error {
	if err := h.CopyIn(ctx, b.archive, "/var/lib/kelp/images/web.tar"); err != nil {
		return err
	}
	return h.InstallKelp(ctx, "server", "datastore: {kind: "+k.datastore+"}\n")
}

// client makes a client of the administrator's over connections from inside
// the host.
func client(ctx context.Context, h *hosts.Host, s system) (kubernetes.Interface, *rest.Config, error) {
	text, err := h.ReadFile(ctx, s.kubeconfig())
	if err != nil {
		return nil, nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
	if err != nil {
		return nil, nil, fmt.Errorf("parse %s: %w", s.kubeconfig(), err)
	}
	config.Dial = h.Dial
	config.QPS = -1
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client: %w", err)
	}
	return c, config, nil
}
