package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
)

// API is what the listener needs of the API server. It has the fields of
// front.API, so that one converts to the other.
type API struct {
	Handler      http.Handler
	Context      context.Context
	Certificate  func(serverName string) *tls.Certificate
	MinVersion   uint16
	CipherSuites []uint16
	Curves       []tls.CurveID
}

// serving is the handler, and the token with which kelp itself may ask it
// how it is.
type serving struct {
	handler http.Handler
	token   string
}

// publish hands the handler over. Upstream calls it, through the listener,
// at the moment at which its own server would take connections.
func (a *APIServer) publish(ctx context.Context, server *aggregator.APIAggregator, described *descriptions) {
	generic := server.GenericAPIServer
	a.serving.Store(&serving{handler: generic.Handler, token: generic.LoopbackClientConfig.BearerToken})
	secure := generic.SecureServingInfo
	defer a.once.Do(func() { close(a.served) })
	a.in.Publish(API{
		Handler:      described.await(generic.Handler),
		Context:      ctx,
		Certificate:  certificates(secure.SNICerts),
		MinVersion:   secure.MinTLSVersion,
		CipherSuites: secure.CipherSuites,
		Curves:       secure.CurvePreferences,
	})
}

// certificates looks a server name up in upstream's list: the one of the
// API's client of itself, and the user's of tls-sni-cert-key.
func certificates(list []dynamiccertificates.SNICertKeyContentProvider) func(string) *tls.Certificate {
	cache := newPairs()
	return func(name string) *tls.Certificate {
		if name == "" {
			return nil
		}
		for _, c := range list {
			for _, pattern := range c.SNINames() {
				if matches(pattern, name) {
					return cache.of(c)
				}
			}
		}
		return nil
	}
}

// matches tells whether a server name is what the pattern names: itself, or
// with one label in place of a leading star.
func matches(pattern, name string) bool {
	if strings.EqualFold(pattern, name) {
		return true
	}
	suffix, wild := strings.CutPrefix(pattern, "*.")
	_, rest, ok := strings.Cut(name, ".")
	return wild && ok && strings.EqualFold(suffix, rest)
}

// get asks the handler for a path and returns what is wrong, if anything, but
// for some checks.
func (s *serving) get(ctx context.Context, path string, but ...string) error {
	query := url.Values{"verbose": {"true"}, "exclude": but}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost"+path+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.RemoteAddr = "127.0.0.1:0"
	response := &recorder{header: http.Header{}, code: http.StatusOK}
	s.handler.ServeHTTP(response, request)
	if response.code == http.StatusOK {
		return nil
	}
	return fmt.Errorf("%s: %s", path, failing(response.body.String()))
}

// failing keeps the lines of a verbose health report that are not well.
func failing(report string) string {
	var bad []string
	for line := range strings.Lines(report) {
		if check, ok := strings.CutPrefix(strings.TrimSpace(line), "[-]"); ok {
			check, _, _ = strings.Cut(check, " failed")
			bad = append(bad, check)
		}
	}
	if len(bad) == 0 {
		return strings.TrimSpace(report)
	}
	return "waiting for " + strings.Join(bad, ", ")
}

// recorder is the answer to a request that came over no connection.
type recorder struct {
	header http.Header
	body   bytes.Buffer
	code   int
}

// Header returns the header of the answer.
func (r *recorder) Header() http.Header { return r.header }

// Write adds to the body.
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// WriteHeader sets the status code.
func (r *recorder) WriteHeader(code int) { r.code = code }
