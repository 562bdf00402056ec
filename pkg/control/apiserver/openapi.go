package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const (
	openAPIv2 = "/openapi/v2"
	openAPIv3 = "/openapi/v3"
	// descriptionLimit bounds the wait of a request for descriptions. The aggregator asks
	// for them a second after the server was prepared, and they are made in half a second;
	// a machine may be ten times as slow.
	descriptionLimit = 30 * time.Second
	// settleLimit bounds how long they are put off for the sake of what makes the API
	// ready. The aggregator holds APIs that pods serve back meanwhile.
	settleLimit = 3 * time.Second
)

// descriptions are the OpenAPI documents of Kubernetes' own resources. Upstream makes
// them before it serves anything, which is a third of the way to a ready node. Here
// they are made when somebody asks: those of version 3 for the aggregator, which does
// so a second later and has whoever asks meanwhile wait, and those of version 2, which
// hardly anybody wants any more, when a client does.
type descriptions struct {
	v2, v3   func() http.Handler // make them, once
	prepared atomic.Bool         // the aggregator has asked for the first time
	settle   func()              // the roles are written, and the processors are free
	known    <-chan struct{}     // closed when the aggregator has those of version 3
	know     func()              // closes it
}

// describeLater keeps upstream from making the descriptions. It must be called before
// the configuration is completed.
func describeLater(cfg *app.Config) {
	cfg.KubeAPIs.ControlPlane.Generic.SkipOpenAPIInstallation = true
}

// newDescriptions are those of the server that the aggregator passes Kubernetes' own
// resources on to. It must be called before that is prepared.
func newDescriptions(cfg *app.Config, aggregator *genericapiserver.GenericAPIServer) (*descriptions, error) {
	own, ok := aggregator.NextDelegate().(*genericapiserver.GenericAPIServer)
	if !ok {
		return nil, fmt.Errorf("the aggregator passes requests on to a %T", aggregator.NextDelegate())
	}
	generic, container := cfg.KubeAPIs.ControlPlane.Generic, own.Handler.GoRestfulContainer
	d := describe(func(m *mux.PathRecorderMux) {
		routes.OpenAPI{Config: generic.OpenAPIConfig}.InstallV2(container, m)
	}, func(m *mux.PathRecorderMux) {
		routes.OpenAPI{V3Config: generic.OpenAPIV3Config}.InstallV3(container, m)
	})
	d.install(own.Handler.NonGoRestfulMux)
	return d, nil
}

func describe(v2, v3 func(*mux.PathRecorderMux)) *descriptions {
	made := func(install func(*mux.PathRecorderMux)) func() http.Handler {
		return sync.OnceValue(func() http.Handler {
			m := mux.NewPathRecorderMux("kelp-descriptions")
			install(m)
			return m
		})
	}
	settled, known := make(chan struct{}), make(chan struct{})
	return &descriptions{
		v2: made(v2),
		v3: made(func(m *mux.PathRecorderMux) {
			within(context.Background(), settleLimit, settled)
			v3(m)
		}),
		settle: sync.OnceFunc(func() { close(settled) }),
		known:  known,
		know:   sync.OnceFunc(func() { close(known) }),
	}
}

// within returns when it is closed, or after limit, or when ctx ends.
func within(ctx context.Context, limit time.Duration, closed <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

func (d *descriptions) install(m *mux.PathRecorderMux) {
	m.HandleFunc(openAPIv2, func(w http.ResponseWriter, r *http.Request) { d.v2().ServeHTTP(w, r) })
	m.HandleFunc(openAPIv3, d.serveV3)
	m.HandlePrefix(openAPIv3+"/", http.HandlerFunc(d.serveV3))
}

func (d *descriptions) serveV3(w http.ResponseWriter, r *http.Request) {
	if !d.prepared.Load() {
		// Not found would mean that there never will be any.
		http.Error(w, "the server is being prepared", http.StatusServiceUnavailable)
		return
	}
	d.v3().ServeHTTP(w, r)
	if r.URL.Path == openAPIv3 {
		d.know()
	}
}

// await has requests for descriptions of version 3 wait until the aggregator knows them.
func (d *descriptions) await(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == openAPIv3 || strings.HasPrefix(r.URL.Path, openAPIv3+"/") {
			within(r.Context(), descriptionLimit, d.known)
		}
		next.ServeHTTP(w, r)
	})
}
