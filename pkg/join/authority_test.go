package join

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
)

func authorityOf(t *testing.T, h *hub) []byte {
	t.Helper()
	text, err := os.ReadFile(pki.AuthorityFiles(h.cfg.Paths(), pki.ServerCA).Cert)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Whoever is in between may pass on the cluster's authority and add one of its own.
func TestAnAuthorityBesideTheTokensIsNotTrusted(t *testing.T) {
	t.Parallel()
	h, stranger := newHub(t), newHub(t)
	ours, evil := authorityOf(t, h), authorityOf(t, stranger)
	chain, err := pki.ParseChain(ours)
	if err != nil {
		t.Fatal(err)
	}
	joiner := token.New(pki.HashOf(chain[0]), token.Agent, "agent")
	for name, c := range map[string]struct {
		served []byte
		want   string // "" is refused
	}{
		"ours":             {ours, string(ours)},
		"one after it":     {slices.Concat(ours, evil), string(ours)},
		"one before it":    {slices.Concat(evil, ours), ""},
		"another one":      {evil, ""},
		"another and text": {slices.Concat(evil, []byte("text"), ours, evil), ""},
	} {
		between := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(c.served) }))
		got, _, err := Authority(t.Context(), strings.TrimPrefix(between.URL, "https://"), joiner)
		between.Close()
		if string(got) != c.want || (c.want == "") != errors.Is(err, ErrAuthority) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// A token that was made before the authorities had successors names the first one.
func TestATokenOutlivesTheAuthorityThatItNames(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	before, err := os.ReadFile(h.cfg.Paths().AgentTokenFile)
	if err != nil {
		t.Fatal(err)
	}
	old, err := token.Parse(string(before))
	if err != nil {
		t.Fatal(err)
	}
	have, err := pki.ReadAuthorities(h.cfg.Paths())
	if err != nil {
		t.Fatal(err)
	}
	next := pki.Authorities{Generation: 1, Pairs: map[string]pki.Pair{}}
	for _, name := range pki.AuthorityNames {
		if next.Pairs[name], err = pki.Succeed(name, have.Pairs[name], nil, time.Now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := pki.New(h.cfg).Adopt(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	server := strings.TrimPrefix(h.URL, "https://")
	text, trusted, err := Authority(t.Context(), server, old)
	if err != nil || !trusted {
		t.Fatalf("trusted %v, %v", trusted, err)
	}
	// The hub still shows the certificate that the first authority has signed.
	c, err := NewClient(server, text, old, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cluster, err := c.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Authorities[pki.ServerCA] != string(next.Pairs[pki.ServerCA].Cert) {
		t.Error("the joiner is told other authorities than the cluster's")
	}
	// A token that is made now names the cluster as the old ones do.
	path, err := token.Rotate(t.Context(), h.cfg, h.tokens, token.Agent, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if made, err := token.Parse(string(after)); err != nil || made.Hash != old.Hash {
		t.Errorf("the cluster was called %.12s and is called %.12s, %v", old.Hash, made.Hash, err)
	}
}
