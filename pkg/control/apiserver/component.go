package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/internal/flags"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// stopGrace is how long requests may go on after a stop. Watches do not end
// by themselves, so this is for the others, which take milliseconds.
const stopGrace = 300 * time.Millisecond

// Inputs are what the API server needs beside the configuration.
type Inputs struct {
	Paths     config.Paths
	Datastore Datastore
	// Publish is called once, when requests can be served. The API's
	// Context ends after Run was told to stop.
	Publish func(API)
	// Own are paths of kelp's, each with its handler, that the API authenticates
	// and authorizes like its own. One that ends with a slash is all below it.
	Own map[string]http.Handler
}

// APIServer is kube-apiserver in this process.
type APIServer struct {
	cfg     config.Config
	in      Inputs
	serving atomic.Pointer[serving]
	served  chan struct{} // closed when serving was first set
	once    sync.Once     // closes it
}

// New returns the API server; nothing is started before Run.
func New(cfg config.Config, in Inputs) *APIServer {
	return &APIServer{cfg: cfg, in: in, served: make(chan struct{})}
}

// Merged returns the arguments with the user's merged over them, checked together
// with the files that they name.
func (a *APIServer) Merged() (*args.Set, error) {
	_, all, set, err := a.options()
	if err != nil {
		return nil, err
	}
	if err := all.Parse(set); err != nil {
		return nil, err
	}
	return set, checkAuditPolicy(set)
}

func (a *APIServer) options() (*options.ServerRunOptions, flags.Set, *args.Set, error) {
	gates, err := flags.Gates(a.cfg.Args)
	if err != nil {
		return nil, flags.Set{}, nil, err
	}
	set := Args(a.cfg, a.in.Paths, a.in.Datastore, gates)
	opts := options.NewServerRunOptions()
	all := flags.Of("kube-apiserver", opts.Flags())
	if err := all.Merge(set, flags.WithoutGates(a.cfg.Args.APIServer)); err != nil {
		return nil, flags.Set{}, nil, err
	}
	return opts, all, set, nil
}

// Run serves the API until ctx ends.
func (a *APIServer) Run(ctx context.Context) error {
	opts, err := a.parse()
	if err != nil {
		return err
	}
	lookForKeysOften()
	api, endAPI := context.WithCancel(context.WithoutCancel(ctx))
	defer endAPI()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, endAPI) })()

	var server *aggregator.APIAggregator
	var described *descriptions
	address := &net.TCPAddr{IP: loopbackOf(a.cfg.API).AsSlice(), Port: int(a.cfg.API.HTTPSPort)}
	opts.SecureServing.Listener = newUnlistener(address, func() { a.publish(api, server, described) })

	completed, err := complete(ctx, opts)
	if err != nil {
		return err
	}
	completed.InformerName, err = cache.NewInformerName("kube-apiserver")
	if err != nil {
		return fmt.Errorf("name informers of kube-apiserver: %w", err)
	}
	defer completed.InformerName.Release()
	server, described, err = build(completed, a.in.Own)
	if err != nil {
		return fmt.Errorf("build kube-apiserver: %w", err)
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return fmt.Errorf("prepare kube-apiserver: %w", err)
	}
	described.prepared.Store(true)
	defer a.serving.Store(nil)
	if err := prepared.Run(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run kube-apiserver: %w", err)
	}
	return nil
}

// parse computes the arguments, writes the files that they name and parses
// them.
func (a *APIServer) parse() (*options.ServerRunOptions, error) {
	opts, all, set, err := a.options()
	if err != nil {
		return nil, err
	}
	if err := writeFiles(a.in.Paths, set); err != nil {
		return nil, err
	}
	if err := all.Parse(set); err != nil {
		return nil, err
	}
	return opts, flags.Verbosity(set)
}

// complete does what upstream's command does between parsing and running.
func complete(ctx context.Context, opts *options.ServerRunOptions) (options.CompletedOptions, error) {
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return options.CompletedOptions{}, fmt.Errorf("set feature gates: %w", err)
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := opts.Complete(ctx)
	if err != nil {
		return options.CompletedOptions{}, fmt.Errorf("complete arguments of kube-apiserver: %w", err)
	}
	if problems := completed.Validate(); len(problems) != 0 {
		return options.CompletedOptions{}, fmt.Errorf("arguments of kube-apiserver: %w", utilerrors.NewAggregate(problems))
	}
	return completed, nil
}

func build(completed options.CompletedOptions, own map[string]http.Handler) (*aggregator.APIAggregator, *descriptions, error) {
	cfg, err := app.NewConfig(completed)
	if err != nil {
		return nil, nil, err
	}
	skipSlowHooks(cfg)
	describeLater(cfg)
	ready, err := cfg.Complete()
	if err != nil {
		return nil, nil, err
	}
	server, err := app.CreateServerChain(ready)
	if err != nil {
		return nil, nil, err
	}
	described, err := newDescriptions(cfg, server.GenericAPIServer)
	if err != nil {
		return nil, nil, err
	}
	for path, handler := range own {
		if strings.HasSuffix(path, "/") {
			server.GenericAPIServer.Handler.NonGoRestfulMux.HandlePrefix(path, handler)
		} else {
			server.GenericAPIServer.Handler.NonGoRestfulMux.Handle(path, handler)
		}
	}
	return server, described, addFastHooks(server.GenericAPIServer, described.settle)
}

// aggregatedCheck is the check of /readyz for the kinds of objects that aggregated API
// servers have. It waits up to five seconds for each of them, and they are pods: on a
// server that joins, the way to those is one of the things that the API is needed for.
const aggregatedCheck = "poststarthook/apiservice-discovery-controller"

// Ready is nil when /readyz is, with all of upstream's start-up steps done but the
// one that Discovered waits for. The handler is asked directly, without a connection.
func (a *APIServer) Ready(ctx context.Context) error { return a.check(ctx, "/readyz", aggregatedCheck) }

// Discovered returns when it is known which kinds of objects aggregated API servers
// have, or with an error when ctx ends. A controller that goes by all kinds, as the one
// that empties namespaces, would overlook theirs before.
func (a *APIServer) Discovered(ctx context.Context) error {
	return poll.Forever(ctx, func(ctx context.Context) error { return a.check(ctx, "/readyz/"+aggregatedCheck) })
}

func (a *APIServer) check(ctx context.Context, path string, but ...string) error {
	s := a.serving.Load()
	if s == nil {
		return errors.New("kube-apiserver is being built")
	}
	return s.get(ctx, path, but...)
}

// Serving returns when requests can be served, which is a second before Ready
// on a new cluster, or with an error when ctx ends. Components that retry may
// start then.
func (a *APIServer) Serving(ctx context.Context) error {
	select {
	case <-a.served:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for kube-apiserver: %w", ctx.Err())
	}
}
