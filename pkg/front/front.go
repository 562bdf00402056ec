package front

import (
	"context"
	"crypto/tls"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/latest"
	"github.com/kelp-project/kelp/pkg/pki"
)

// ownPrefix is below which other packages register their handlers.
const ownPrefix = "/v1-kelp/"

// LoopbackName is the server name that the API server's client of itself
// asks for.
const LoopbackName = "apiserver-loopback-client"

const (
	// headerTimeout is how long a handshake, and then the header of a
	// request, may take. A phone on a bad line needs two seconds.
	headerTimeout = 10 * time.Second
	// idleTimeout is the API server's: that of Go's own clients.
	idleTimeout = 90 * time.Second
	// stopTimeout is how long requests may take to end after a stop, and
	// goneTimeout when the API has stopped before: nobody waits for it then.
	// HTTP/2 alone takes a second to say good-bye.
	stopTimeout = 2 * time.Second
	goneTimeout = 100 * time.Millisecond
	// maxHeaderBytes is the API server's.
	maxHeaderBytes = 1 << 20
)

// Options are what a listener is made from.
type Options struct {
	Address  string // host:port; an empty host is all addresses
	CertFile string // the serving certificate, read again when it changes
	KeyFile  string
	CAFile   string // what /cacerts returns
	// API is set when the API can serve, and again when it is replaced.
	API *latest.Value[API]
}

// OptionsFor returns the options that a configuration means.
func OptionsFor(cfg config.Config, paths config.Paths, api *latest.Value[API]) Options {
	serving := pki.FilesOf(paths, pki.APIServer)
	return Options{
		Address:  Address(cfg.API),
		CertFile: serving.Cert,
		KeyFile:  serving.Key,
		CAFile:   pki.AuthorityFiles(paths, pki.ServerCA).Cert,
		API:      api,
	}
}

// Address is the address that the listener binds, as host:port.
func Address(api config.API) string {
	host := ""
	if api.BindAddress.IsValid() && api.BindAddress != netip.IPv4Unspecified() && api.BindAddress != netip.IPv6Unspecified() {
		host = api.BindAddress.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(api.HTTPSPort)))
}

// Front is the listener. Make it with New, register handlers, then Run.
type Front struct {
	opts        Options
	own         *http.ServeMux
	certificate *certificate
	hold        time.Duration // for the API to arrive
	patience    time.Duration // with handshakes and headers
	address     atomic.Pointer[net.Addr]
}

// New returns the listener; nothing is bound before Run.
func New(opts Options) *Front {
	f := &Front{
		opts:        opts,
		own:         http.NewServeMux(),
		certificate: &certificate{certFile: opts.CertFile, keyFile: opts.KeyFile},
		hold:        holdFor,
		patience:    headerTimeout,
	}
	f.own.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusNotFound, "kelp has no such path")
	})
	return f
}

// Handle registers a handler for a pattern of net/http's below /v1-kelp/, at
// any time. The client's certificate, if it showed one, is not yet verified:
// the handler does that.
func (f *Front) Handle(pattern string, handler http.Handler) { f.own.Handle(pattern, handler) }

// API is the API's handler, for paths of kelp's that the API authenticates and
// authorizes. It waits a little for the API to arrive, as all other paths do.
func (f *Front) API() http.Handler { return http.HandlerFunc(f.serveAPI) }

// Addr returns the bound address, nil before Run has bound it.
func (f *Front) Addr() net.Addr {
	if a := f.address.Load(); a != nil {
		return *a
	}
	return nil
}

// Ready is nil when connections are accepted.
func (f *Front) Ready(context.Context) error {
	if f.Addr() == nil {
		return fmt.Errorf("not listening on %s yet", f.opts.Address)
	}
	return nil
}

// Run serves until ctx ends. When it returns every connection is closed.
func (f *Front) Run(ctx context.Context) error {
	if _, err := f.certificate.get(ctx); err != nil {
		return err
	}
	bound, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.opts.Address)
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	address := bound.Addr()
	f.address.Store(&address)
	l := &listener{Listener: bound, conns: map[*conn]struct{}{}}
	defer l.closeAll()

	server := f.server(ctx)
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(l, "", "") }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", f.opts.Address, err)
	case <-ctx.Done():
	}
	timeout := stopTimeout
	if api, ok, _ := f.opts.API.Peek(); ok && api.Context.Err() != nil {
		timeout = goneTimeout
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		log.G(ctx).WithError(err).Debug("closing connections that did not end by themselves")
		_ = server.Close() // what it would report, closeAll closes
	}
	<-served
	return nil
}

func (f *Front) server(ctx context.Context) *http.Server {
	server := &http.Server{
		Handler:           f,
		TLSConfig:         f.tlsConfig(ctx),
		ReadHeaderTimeout: f.patience,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          stdlog.New(debugWriter{ctx}, "", 0),
		// What handlers log is this component's; requests end with the server.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	// The API server's own figures: one frame holds 99 % of all objects, and
	// a client cannot open more streams than it may reset.
	const body, streams = 256 * 1024, 100
	server.HTTP2 = &http.HTTP2Config{
		MaxReceiveBufferPerStream:     body,
		MaxReadFrameSize:              body,
		MaxConcurrentStreams:          streams,
		MaxReceiveBufferPerConnection: body * streams,
	}
	return server
}

// tlsConfig asks for a client certificate and leaves checking it to the
// API's authenticators, as other ways to log in are as good.
func (f *Front) tlsConfig(ctx context.Context) *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert,
	}
	base.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == LoopbackName {
			// The API's client of itself: it begins to knock while the API
			// is still being built, and its certificate comes with the API.
			f.waitAPI(hello.Context())
		}
		if api, ok, _ := f.opts.API.Peek(); ok && api.Certificate != nil {
			if pair := api.Certificate(hello.ServerName); pair != nil {
				return pair, nil
			}
		}
		return f.certificate.get(ctx)
	}
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		api, ok, _ := f.opts.API.Peek()
		if !ok || api.MinVersion == 0 && api.CipherSuites == nil && api.Curves == nil {
			return nil, nil // the base
		}
		adapted := base.Clone()
		adapted.GetConfigForClient = nil
		adapted.MinVersion = max(tls.VersionTLS12, api.MinVersion)
		adapted.CipherSuites, adapted.CurvePreferences = api.CipherSuites, api.Curves
		return adapted, nil
	}
	return base
}

// debugWriter takes net/http's own lines: strangers' broken handshakes.
type debugWriter struct{ ctx context.Context }

// Write logs one line.
func (w debugWriter) Write(line []byte) (int, error) {
	log.G(w.ctx).WithField("error", string(line)).Debug("connection ended early")
	return len(line), nil
}
