package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/apiserver"
	"github.com/kelp-project/kelp/pkg/control/controllermanager"
	"github.com/kelp-project/kelp/pkg/control/scheduler"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/etcd"
	"github.com/kelp-project/kelp/pkg/node"
)

// merged returns a component's arguments: kelp's, the user's over them, and
// checked by upstream's own parsers.
type merged struct {
	component string
	arguments func() (*args.Set, error)
}

// arguments lists the components that take arguments. The node part is nil
// where the agent is disabled.
func arguments(cfg config.Config, n *node.Node) []merged {
	paths := cfg.Paths()
	list := []merged{
		{"kube-apiserver", apiserver.New(cfg, apiServerInputs(cfg, datastore.New(cfg).Endpoint())).Merged},
		{"kube-controller-manager", controllermanager.New(cfg, controllermanager.Inputs{Paths: paths}).Merged},
		{"kube-scheduler", scheduler.New(cfg, scheduler.Inputs{Paths: paths}).Merged},
		{"etcd", func() (*args.Set, error) { return etcd.Merged(datastore.EtcdInputs(cfg, paths)) }},
	}
	if n == nil {
		return list
	}
	return append(list, merged{"kubelet", n.Kubelet.Merged}, merged{"kube-proxy", n.Proxy.Merged})
}

// checkArguments refuses what a component would refuse later, when other
// components are running already.
func checkArguments(cfg config.Config, n *node.Node) error {
	var problems []error
	for _, m := range arguments(cfg, n) {
		_, err := m.arguments()
		problems = append(problems, err)
	}
	if n != nil {
		problems = append(problems, n.Containerd.Check())
	}
	return errors.Join(problems...)
}

// Arguments returns what the component is started with. The name is
// upstream's, with or without "kube-".
func Arguments(cfg config.Config, n *node.Node, component string) (*args.Set, error) {
	list := arguments(cfg, n)
	i := slices.IndexFunc(list, func(m merged) bool {
		return strings.TrimPrefix(m.component, "kube-") == strings.TrimPrefix(component, "kube-")
	})
	if i < 0 {
		var names []string
		for _, m := range list {
			names = append(names, m.component)
		}
		return nil, fmt.Errorf("there is no component %q with arguments: choose one of %s", component, strings.Join(names, ", "))
	}
	return list[i].arguments()
}
