package join

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/log"
	"golang.org/x/time/rate"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
)

// who has asked: with a token, or as a node that has joined.
type who struct {
	record token.Record
	secret string // of the token
	node   string
}

// String names the identity for the log.
func (w who) String() string {
	if w.node != "" {
		return "node " + w.node
	}
	return string(w.record.Role) + " token " + w.record.ID
}

const nodePrefix = "system:node:"

// authenticate returns who has asked, or a problem that tells strangers
// nothing.
func (s *Server) authenticate(ctx context.Context, r *http.Request, client kubernetes.Interface) (who, error) {
	bearer, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !given {
		if node := s.Certified(r); node != "" {
			return who{node: node}, nil
		}
		return who{}, &problem{http.StatusUnauthorized, "no token was given"}
	}
	if !s.limits.allow(source(r)) {
		s.tokens.Add(unknown, tooMany)
		return who{}, &problem{http.StatusTooManyRequests, "too many tries from this address: wait a little"}
	}
	t, err := token.Parse(bearer)
	if err != nil {
		s.tokens.Add(unknown, malformed)
		return who{}, &problem{http.StatusUnauthorized, "the token " + err.Error()}
	}
	record, err := s.find(ctx, t, client)
	if err != nil {
		return who{}, err
	}
	return who{record: record, secret: t.Secret}, nil
}

// find looks a token up and checks it. A secret alone may be that of the
// server's token or of the agents'.
func (s *Server) find(ctx context.Context, t token.Token, client kubernetes.Interface) (token.Record, error) {
	ids := []string{t.ID}
	if t.ID == "" {
		ids = []string{string(token.Server), string(token.Agent)}
	}
	reason := token.ErrNotFound
	for _, id := range ids {
		record, err := token.NewStore(client).Get(ctx, id)
		if err == nil {
			err = record.Check(t.Secret, s.now())
		}
		switch {
		case err == nil && (t.Role == "" || t.Role == record.Role):
			s.tokens.Add(string(record.Role), accepted)
			return record, nil
		case err != nil && !isRefusal(err):
			return token.Record{}, err
		case err != nil:
			reason = err
		}
	}
	s.tokens.Add(roleOf(t), resultOf(reason))
	log.G(ctx).WithField("error", reason).WithField("token", strings.Join(ids, ",")).Debug("a token was refused")
	return token.Record{}, &problem{http.StatusUnauthorized, refusal(reason)}
}

func isRefusal(err error) bool {
	return slices.ContainsFunc([]error{token.ErrNotFound, token.ErrSecret, token.ErrExpired, token.ErrUsed}, func(known error) bool { return errors.Is(err, known) })
}

// refusal is what a joiner is told: whoever knows the secret may know what has
// become of the token.
func refusal(err error) string {
	if errors.Is(err, token.ErrExpired) || errors.Is(err, token.ErrUsed) {
		return err.Error() + ": make another one with kelp token create"
	}
	return "the token is not one of this cluster's"
}

// Certified is the node whose certificate the client has shown, "" if it has
// shown none that the cluster's authority has signed.
func (s *Server) Certified(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	text, err := os.ReadFile(pki.AuthorityFiles(s.cfg.Paths(), pki.ClientCA).Cert)
	if err != nil {
		return ""
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	for _, c := range r.TLS.PeerCertificates[1:] {
		between.AddCert(c)
	}
	leaf := r.TLS.PeerCertificates[0]
	opts := x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: s.now()}
	if _, err := leaf.Verify(opts); err != nil || !slices.Contains(leaf.Subject.Organization, "system:nodes") {
		return ""
	}
	name, isNode := strings.CutPrefix(leaf.Subject.CommonName, nodePrefix)
	if !isNode {
		return ""
	}
	return name
}

// limits bound how often one address may try tokens: a secret cannot be
// guessed, and hashing cannot be used to keep the server busy.
type limits struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

const (
	triesPerSecond = 2
	tryBurst       = 20
	// maxSources bounds the memory that strangers can take: 100 B each.
	maxSources = 10000
)

func newLimits() *limits { return &limits{by: map[string]*rate.Limiter{}} }

func (l *limits) allow(source string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, known := l.by[source]
	if !known {
		if len(l.by) >= maxSources {
			clear(l.by)
		}
		limiter = rate.NewLimiter(triesPerSecond, tryBurst)
		l.by[source] = limiter
	}
	return limiter.Allow()
}
