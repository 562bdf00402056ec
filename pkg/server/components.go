package server

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/apiserver"
	"github.com/kelp-project/kelp/pkg/control/controllermanager"
	"github.com/kelp-project/kelp/pkg/control/scheduler"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/space"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
	"github.com/kelp-project/kelp/pkg/deploy"
	"github.com/kelp-project/kelp/pkg/encryption"
	"github.com/kelp-project/kelp/pkg/front"
	"github.com/kelp-project/kelp/pkg/internal/latest"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/leader"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/node/network"
	"github.com/kelp-project/kelp/pkg/nodepart"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/rollout"
	"github.com/kelp-project/kelp/pkg/servicelb"
	"github.com/kelp-project/kelp/pkg/snapshots"
	"github.com/kelp-project/kelp/pkg/supervisor"
	"github.com/kelp-project/kelp/pkg/token"
	"github.com/kelp-project/kelp/pkg/tunnel"
)

// The names of the components, as kelp status shows them.
const (
	certificates      = "certificates"
	renewal           = "renewal"
	tokenName         = "token"
	clockName         = "clock"
	authoritiesName   = "authorities"
	store             = "datastore"
	listener          = "front"
	keysName          = "encryption-keys"
	encryptionName    = "encryption"
	rewritingName     = "encryption-keeper"
	api               = "apiserver"
	controllerManager = "controller-manager"
	nodeIPAMName      = "node-ipam"
	schedulerName     = "scheduler"
	deployName        = "deploy"
	serviceLB         = "servicelb"
	joinName          = "join"
	egressName        = "egress"
	kubeletsName      = "tunnelled-kubelets"
	leaderName        = "leader"
	regroupName       = "regroup"
	spaceName         = "space"
	tendName          = "space-keeper"
	snapshotsName     = "snapshots"
	scheduleName      = "snapshot-schedule"
	uploadName        = "snapshot-upload"
	votersName        = "voters"
	balancerName      = "etcd-balancer"
	membersName       = "etcd-members"
	roleName          = "role"
	accountName       = "account"
	configurationName = "configuration"
	rolloutName       = "rollout"
)

// Components lists what a server runs. The node part is
// nil where the agent is disabled. Wall is the clock that they go by. Restart ends
// the process so that it starts anew. Beside is what they are, looked at from
// elsewhere.
func Components(cfg config.Config, n *node.Node, wall *clock, restart func(), beside *beside) ([]supervisor.Component, error) {
	paths := cfg.Paths()
	engine := pki.New(cfg)
	ds := datastore.New(cfg)
	serving := latest.New[front.API]()
	inputs := apiServerInputs(cfg, ds.Endpoint())
	inputs.Publish = func(a apiserver.API) { serving.Set(front.API(a)) }
	listen := front.New(front.OptionsFor(cfg, paths, serving))
	inputs.Own = beside.sight.register(listen)
	apiServer := apiserver.New(cfg, inputs)
	elected := election(cfg, ds, beside.awaited)
	joins := join.NewServer(cfg, engine, grow(cfg, elected, restart))
	joins.Register(listen.Handle)
	listen.Handle(rollout.Programs(cfg, joins.Certified))
	beside.addAppliers(nodepart.Appliers(n)...)
	beside.addApplier(joinName, joins.Apply, clusterLive...)
	hub := tunnel.NewHub(joins.Certified)
	beside.sight.own, beside.sight.hub = cfg.Node.Name, hub
	listen.Handle("GET "+tunnel.Path, hub)
	egress := tunnel.NewEgress(hub, paths.EgressSocket, joins.NodeOf)
	between, err := balanced(cfg, ds, beside)
	if err != nil {
		return nil, err
	}
	list := []supervisor.Component{
		{Name: certificates, Once: true, Run: engine.Ensure},
		{Name: renewal, After: []string{certificates}, Run: engine.Run},
		{Name: tokenName, After: []string{certificates}, Once: true, Run: func(context.Context) error { return token.Ensure(cfg) }},
	}
	list = append(list, between...)
	list = append(list, supervisor.Component{Name: clockName, Run: func(ctx context.Context) error { return wall.watch(ctx, clockEvery, restart) }})
	keys := newEncryption(cfg, ds)
	list = append(list, encrypted(cfg, keys)...)
	list = append(list,
		supervisor.Component{Name: store, After: after(between, certificates), Run: noteRemoval(cfg, ds.Run), Ready: ds.Ready},
		supervisor.Component{Name: listener, After: []string{certificates}, Run: listen.Run, Ready: listen.Ready},
		supervisor.Component{Name: egressName, Run: egress.Run, Ready: egress.Ready},
		supervisor.Component{Name: api, After: []string{store, listener, egressName, keysName}, Run: apiServer.Run, Ready: apiServer.Ready},
		supervisor.Component{Name: joinName, After: []string{store, listener, tokenName}, Run: nodepart.When(apiServer.Serving, later(n, joins.Asked, joins.Run)), Ready: joins.Ready},
	)
	list = append(list, succeeded(cfg, engine))
	keeper := snapshots.NewKeeper(cfg, pki.KubeconfigOf(paths, pki.Kelp))
	list = append(list, supervisor.Component{Name: snapshotsName, After: []string{api}, Run: keeper.Show, Tell: keeper.Tell})
	beside.addApplier(snapshotsName, keeper.Apply, snapshotsLive...)
	scheduled := schedule(cfg, keeper, beside)
	if cfg.Snapshots.EveryServer {
		list = append(list, scheduled)
	}
	if cfg.S3.Bucket != "" {
		list = append(list, supervisor.Component{Name: uploadName, After: []string{api}, Run: keeper.Upload, Ready: keeper.Uploads})
	}
	room := space.New(space.Options{Connect: ds.Client, Own: ds.Own(), Disk: filepath.Dir(paths.Etcd), Members: datastore.Kind(cfg) == config.DatastoreEtcd})
	beside.watch(cfg, joins, keeper, room, elected)
	if datastore.Kind(cfg) != config.DatastoreExternal {
		list = append(list, supervisor.Component{Name: spaceName, After: []string{store}, Run: room.Watch, Ready: room.Ready, Tell: room.Tell})
	}
	if datastore.Kind(cfg) == config.DatastoreEtcd {
		list = append(list, supervisor.Component{Name: regroupName, After: []string{listener}, Run: regroup(cfg, ds, restart)})
	}
	list = append(list, once(cfg, ds, elected, scheduled, room, keys, apiServer, beside)...)
	list = append(list, beside.configuration(cfg, n, restart))
	if cfg.Components.DisableAgent {
		for _, name := range append(nodepart.Names(), nodepart.Upgrade, roleName, accountName, kubeletsName) {
			list = append(list, supervisor.Skipped(name, "components.disableAgent is set"))
		}
		return nodepart.WithMemory(list), nil
	}
	// The node part needs an API server that answers, but not one that has
	// finished everything it does at its start.
	list = append(list, nodepart.Components(cfg, n, nodepart.Needs{After: []string{certificates}, Serving: apiServer.Serving})...)
	list = append(list, tunnelled(cfg, n, hub, joins))
	machine := rollout.NewMachine(cfg, restart)
	pods := newAccount(cfg)
	list = append(list,
		supervisor.Component{Name: nodepart.Upgrade, After: []string{nodepart.Kubelet}, Run: machine.Run},
		supervisor.Component{Name: roleName, After: []string{nodepart.Kubelet}, Once: true, Run: func(ctx context.Context) error { return labelNode(ctx, cfg) }},
		supervisor.Component{Name: accountName, After: []string{certificates}, Run: nodepart.When(apiServer.Serving, pods.Run), Ready: pods.Ready},
	)
	return nodepart.WithMemory(list), nil
}

// later runs what can wait once the node, where there is one, is ready, and sooner
// when it is needed.
func later(n *node.Node, needed func(context.Context), run func(context.Context) error) func(context.Context) error {
	if n == nil {
		return run
	}
	return func(ctx context.Context) error {
		either(ctx, n.First, needed)
		return run(ctx)
	}
}

// either returns when one of the waits is over, or ctx ends.
func either(ctx context.Context, waits ...func(context.Context)) {
	ctx, over := context.WithCancel(ctx)
	defer over()
	var all sync.WaitGroup
	for _, wait := range waits {
		all.Go(func() {
			wait(ctx)
			over()
		})
	}
	all.Wait()
}

// schedule makes snapshots by themselves.
func schedule(cfg config.Config, keeper *snapshots.Keeper, beside *beside) supervisor.Component {
	on := beside.switched(scheduleName, !cfg.Snapshots.Disable, func(c config.Config) bool { return !c.Snapshots.Disable }, "snapshots.disable")
	return supervisor.Component{
		Name: scheduleName, After: []string{api},
		Run: on.Run(keeper.Run, nil), Ready: on.Ready(keeper.Ready), Tell: on.Tell("disabled"),
	}
}

// tunnelled is pods' way to kubelets that are behind tunnels.
func tunnelled(cfg config.Config, n *node.Node, hub *tunnel.Hub, joins *join.Server) supervisor.Component {
	switch {
	case cfg.Network.Backend == config.BackendNone:
		return supervisor.Skipped(kubeletsName, "network.backend is none: the bridge of pods is your CNI plugin's")
	case !n.NFTables:
		return supervisor.Skipped(kubeletsName, "nft cannot be used on this machine")
	}
	k := &tunnel.Kubelets{Hub: hub, Of: joins.Kubelets, Gateways: joins.Gateways, Bridge: network.Bridge}
	return supervisor.Component{Name: kubeletsName, After: []string{joinName}, Run: k.Run}
}

// election is the one of the cluster's servers. The member of a server that began
// the cluster on etcd may be the only one; those of an external datastore cannot be
// told. While another one is awaited, the election comes before it.
func election(cfg config.Config, ds *datastore.Datastore, awaited bool) *leader.Leader {
	opts := leader.Options{Identity: cfg.Node.Name, Connect: func() (kubernetes.Interface, error) { return kelpClient(cfg) }}
	if datastore.Kind(cfg) == config.DatastoreEtcd && !ds.Balanced() && !awaited {
		opts.Alone = func(ctx context.Context) (bool, error) {
			members, err := ds.ClientURLs(ctx)
			return len(members) == 1, err
		}
	}
	return leader.New(opts)
}

// once is what runs on one server of the cluster: everywhere on SQLite, where
// there is no other, and elsewhere on the one that has the lease.
func once(cfg config.Config, ds *datastore.Datastore, elected *leader.Leader, scheduled supervisor.Component, room *space.Space, keys *encryption.Encryption, apiServer *apiserver.APIServer, beside *beside) []supervisor.Component {
	list := append(control(cfg, apiServer.Discovered, beside), nodeIPAM(cfg, apiServer.Serving), leadUpgrades(cfg, ds))
	if !cfg.Snapshots.EveryServer {
		list = append(list, scheduled)
	}
	if !apiserver.UsersEncryption(cfg) {
		list = append(list, supervisor.Component{Name: rewritingName, After: []string{api}, Run: keys.Lead})
	}
	kind := datastore.Kind(cfg)
	if kind == config.DatastoreSQLite {
		return append(list, supervisor.Skipped(leaderName, "there is one server"))
	}
	if kind == config.DatastoreEtcd {
		connect := func() (kubernetes.Interface, error) { return kelpClient(cfg) }
		keeper := voters.New(voters.Options{Connect: ds.Client, Grace: time.Duration(cfg.Datastore.VoterGrace), Nodes: &serverNodes{connect: connect}})
		list = append(list,
			supervisor.Component{Name: votersName, After: []string{api}, Run: keeper.Run},
			supervisor.Component{Name: tendName, After: []string{api}, Run: room.Tend})
	}
	for i, c := range list {
		if c.Skip == "" {
			list[i].Run, list[i].Ready = elected.Only(c.Run, c.Ready)
			list[i].After = append([]string{leaderName}, c.After...)
		}
	}
	return append(list, supervisor.Component{Name: leaderName, After: []string{store, listener}, Run: nodepart.When(apiServer.Serving, elected.Run), Ready: elected.Ready})
}

func apiServerInputs(cfg config.Config, e datastore.Endpoint) apiserver.Inputs {
	return apiserver.Inputs{
		Paths:     cfg.Paths(),
		Datastore: apiserver.Datastore{URLs: e.URLs, CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile},
	}
}

// control is what runs beside the API server. What is deployed finds its
// images: a kubelet that misses one tries to fetch it, and then waits. What goes by
// all kinds of objects that there are begins when those are discovered.
func control(cfg config.Config, discovered func(context.Context) error, beside *beside) []supervisor.Component {
	paths := cfg.Paths()
	cm := controllermanager.New(cfg, controllermanager.Inputs{Paths: paths})
	sched := scheduler.New(cfg, scheduler.Inputs{Paths: paths})
	dep := deploy.New(cfg, deploy.Inputs{Kubeconfig: pki.KubeconfigOf(paths, pki.Kelp)})
	list := []supervisor.Component{
		{Name: controllerManager, After: []string{api}, Run: nodepart.When(discovered, cm.Run), Ready: cm.Ready},
		{Name: schedulerName, After: []string{api}, Run: sched.Run, Ready: sched.Ready},
		{Name: deployName, After: []string{api, nodepart.Images}, Run: nodepart.When(discovered, dep.Run), Ready: dep.Ready},
	}
	beside.addApplier(deployName, dep.Apply, "components.disable")
	lb := servicelb.New(cfg, servicelb.Inputs{Kubeconfig: pki.KubeconfigOf(paths, pki.Kelp)})
	on := beside.switched(serviceLB, !cfg.Disabled(serviceLB), func(c config.Config) bool { return !c.Disabled(serviceLB) }, "components.disable")
	return append(list, supervisor.Component{Name: serviceLB, After: []string{api}, Run: on.Run(lb.Run, nil), Ready: on.Ready(lb.Ready), Tell: on.Tell("disabled")})
}

// nodeIPAM gives nodes their ranges as soon as the API answers, for the first
// node waits for that.
func nodeIPAM(cfg config.Config, serving func(context.Context) error) supervisor.Component {
	if !controllermanager.EarlyIPAM(cfg) {
		return supervisor.Skipped(nodeIPAMName, "kube-controller-manager's own controller does it, or nobody, as configured")
	}
	n := controllermanager.NewNodeIPAM(cfg, controllermanager.Inputs{Paths: cfg.Paths()})
	return supervisor.Component{Name: nodeIPAMName, After: []string{store, listener}, Run: nodepart.When(serving, n.Run), Ready: n.Ready}
}
