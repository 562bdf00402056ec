package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
)

// hub is a server's end of the protocol with real certificates and tokens, in
// front of an API that keeps its objects in memory.
type hub struct {
	*httptest.Server
	cfg    config.Config
	api    *fake.Clientset
	tokens *token.Store

	mu   sync.Mutex
	seen bytes.Buffer // every answer
	asks int          // requests below /v1-kelp/
	grow error        // what the hub says of another server
}

func testConfig(t *testing.T, name, address string) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	cfg.Kubeconfig.Path = filepath.Join(cfg.DataDir, "kubeconfig.yaml")
	cfg, err := cfg.Complete(config.Host{Name: name, IPv4: netip.MustParseAddr(address)})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{cfg: testConfig(t, "hub", "192.0.2.1")}
	engine := pki.New(h.cfg)
	if err := engine.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := token.Ensure(h.cfg); err != nil {
		t.Fatal(err)
	}
	port := int32(6443)
	h.api = fake.NewClientset(
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}}, Ports: []discoveryv1.EndpointPort{{Port: &port}},
		},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "hub"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: "192.0.2.1"}}}},
	)
	h.tokens = token.NewStore(h.api)
	if err := token.Publish(t.Context(), h.cfg, h.tokens, time.Now()); err != nil {
		t.Fatal(err)
	}
	s := NewServer(h.cfg, engine, func(context.Context) error { return h.grow })
	s.client.Set(h.api)
	mux := http.NewServeMux()
	s.Register(mux.Handle)
	mux.HandleFunc("/cacerts", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, pki.AuthorityFiles(h.cfg.Paths(), pki.ServerCA).Cert)
	})
	files := pki.FilesOf(h.cfg.Paths(), pki.APIServer)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	h.Server = httptest.NewUnstartedServer(h.record(mux))
	h.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

func (h *hub) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, r)
		h.mu.Lock()
		defer h.mu.Unlock()
		if strings.HasPrefix(r.URL.Path, "/v1-kelp/") {
			h.asks++
		}
		h.seen.Write(recorder.Body.Bytes())
		w.WriteHeader(recorder.Code)
		_, _ = io.Copy(w, recorder.Body) // a joiner that has gone asks again
	})
}

// token reads one of the tokens that the first start has made.
func (h *hub) token(t *testing.T, role token.Role) string {
	t.Helper()
	path := h.cfg.Paths().TokenFile
	if role == token.Agent {
		path = h.cfg.Paths().AgentTokenFile
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// machine is one that is to join.
func (h *hub) machine(t *testing.T, name, address, tok string) config.Config {
	t.Helper()
	cfg := testConfig(t, name, address)
	cfg.Server, cfg.Token = h.URL, tok
	return cfg
}

// enter joins, and returns the cluster that the machine was told of.
func enter(t *testing.T, cfg config.Config) (Cluster, error) {
	t.Helper()
	m, err := NewMember(cfg)
	if err != nil {
		return Cluster{}, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cluster, err := m.Cluster(ctx)
	if err != nil {
		return cluster, err
	}
	return cluster, m.Enrol(ctx, cfg, "https://127.0.0.1:6444")
}

// A machine that joins gets certificates for keys that it made itself, and no
// answer ever holds a private key.
func TestJoin(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for role, name := range map[token.Role]string{token.Agent: "one", token.Server: "two"} {
		cfg := h.machine(t, name, map[string]string{"one": "192.0.2.11", "two": "192.0.2.12"}[name], h.token(t, role))
		cluster, err := enter(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if len(cluster.Servers) != 1 || cluster.Servers[0] != "192.0.2.1:6443" || len(cluster.Settings) == 0 {
			t.Errorf("was told of servers %v and %d settings", cluster.Servers, len(cluster.Settings))
		}
		files := pki.FilesOf(cfg.Paths(), pki.Kubelet)
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil || pair.Leaf.Subject.CommonName != "system:node:"+name {
			t.Errorf("got %v, %v", pair.Leaf, err)
		}
		asks := h.asks
		if _, err := enter(t, cfg); err != nil || h.asks != asks+1 {
			t.Errorf("joining again: %v after %d requests, want one", err, h.asks-asks)
		}
	}
	if strings.Contains(h.seen.String(), "PRIVATE KEY") {
		t.Error("a private key has travelled")
	}
}

// What a stranger or a machine with too much of a wish is told, and that none
// of it leaves a trace.
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	good := h.token(t, token.Agent)
	if _, err := enter(t, h.machine(t, "one", "192.0.2.11", good)); err != nil {
		t.Fatal(err)
	}
	if err := h.api.Tracker().Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}}); err != nil {
		t.Fatal(err)
	}
	past, err := token.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	past.ID = "past"
	record := token.RecordOf(past, time.Now())
	record.Expires = time.Now().Add(-time.Minute)
	if err := h.tokens.Put(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	before := len(h.api.Actions())
	for name, c := range map[string]struct{ name, address, token, want string }{
		"wrong secret":     {"two", "192.0.2.12", good + "x", "not one of this cluster's"},
		"agent as server":  {"two", "192.0.2.12", strings.Replace(good, ".agent.", ".server.", 1), "not one of this cluster's"},
		"expired":          {"two", "192.0.2.12", past.Text(), "expired"},
		"taken name":       {"one", "192.0.2.12", good, "belongs to another machine"},
		"the server's":     {"hub", "192.0.2.12", good, "belongs to another machine"},
		"the API's name":   {"kubernetes", "192.0.2.12", good, "a name of the API's"},
		"server's address": {"two", "192.0.2.1", good, "is the address of"},
		"service address":  {"two", "10.43.0.1", good, "in the cluster's range"},
		"pod address":      {"two", "10.42.3.4", good, "in the cluster's range"},
		"bad name":         {"Two!", "192.0.2.12", good, "node name"},
	} {
		_, err := enter(t, h.machine(t, c.name, c.address, c.token))
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a refusal with %q", name, err, c.want)
		}
	}
	for _, a := range h.api.Actions()[before:] {
		if verb := a.GetVerb(); verb != "get" && verb != "list" {
			t.Errorf("a refusal has made the write %s %s", verb, a.GetResource().Resource)
		}
	}
}

// A node's certificate stands in for the token, for that node alone.
func TestACertificateIsForItsNode(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cfg := h.machine(t, "one", "192.0.2.11", h.token(t, token.Agent))
	if _, err := enter(t, cfg); err != nil {
		t.Fatal(err)
	}
	files := pki.FilesOf(cfg.Paths(), pki.Kubelet)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(pki.AuthorityFiles(cfg.Paths(), pki.ServerCA).Cert)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(strings.TrimPrefix(h.URL, "https://"), authority, token.Token{}, &pair)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	requests, err := pki.Requests(pki.NodeTable(cfg))
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Repeat("s", minSecret)
	for name, status := range map[string]int{"one": 0, "two": http.StatusForbidden, "hub": http.StatusForbidden} {
		_, err := c.Node(t.Context(), NodeRequest{Name: name, IPs: []netip.Addr{netip.MustParseAddr("192.0.2.11")}, Secret: secret, Requests: requests})
		var refused *RefusedError
		errors.As(err, &refused)
		if got := refused; status == 0 && err != nil || status != 0 && (got == nil || got.Status != status) {
			t.Errorf("certificates for %s: %v, want status %d", name, err, status)
		}
	}
}

// A joiner tells its token to nobody but a server of the token's cluster.
func TestTheTokenStaysWithItsCluster(t *testing.T) {
	t.Parallel()
	h, other := newHub(t), newHub(t)
	cfg := h.machine(t, "one", "192.0.2.11", h.token(t, token.Agent))
	cfg.Server = other.URL
	if _, err := enter(t, cfg); !errors.Is(err, ErrAuthority) {
		t.Errorf("another cluster's server: %v", err)
	}
	if other.asks != 0 {
		t.Error("another cluster's server was told something")
	}
	if left, err := os.ReadDir(cfg.DataDir); err != nil || len(left) != 0 {
		t.Errorf("the refusal left %v, %v", left, err)
	}
}

// A token that is good once is good for one of two that come at the same time.
func TestOnceIsOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	once, err := token.Parse(h.token(t, token.Agent))
	if err != nil {
		t.Fatal(err)
	}
	once.ID = "once"
	record := token.RecordOf(once, time.Now())
	record.Once = true
	if err := h.tokens.Put(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if _, err := enter(t, h.machine(t, "one", "192.0.2.11", once.Text())); err != nil {
		t.Fatal(err)
	}
	_, err = enter(t, h.machine(t, "two", "192.0.2.12", once.Text()))
	if err == nil || !strings.Contains(err.Error(), "has been used") {
		t.Errorf("the second use: %v", err)
	}
}

// A server that has not registered itself yet is known to who has asked it.
func TestAServerThatHasJustStarted(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	if err := h.api.Tracker().Update(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"),
		&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}}, "default"); err != nil {
		t.Fatal(err)
	}
	cluster, err := enter(t, h.machine(t, "one", "192.0.2.11", h.token(t, token.Agent)))
	if err != nil || len(cluster.Servers) != 1 || cluster.Servers[0] != "192.0.2.1:6443" {
		t.Errorf("was told of %v, %v", cluster.Servers, err)
	}
}

// What a server puts off until it is asked begins with the first machine that asks,
// also when there is no answer yet.
func TestAServerKnowsThatItIsAsked(t *testing.T) {
	t.Parallel()
	s := NewServer(testConfig(t, "hub", "192.0.2.1"), nil, nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	answer := httptest.NewRecorder()
	s.answer(s.cluster).ServeHTTP(answer, httptest.NewRequestWithContext(gone, http.MethodGet, clusterPath, nil))
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("before it has its API a server answers %d, want %d", answer.Code, http.StatusServiceUnavailable)
	}
	s.Asked(t.Context())
}

// A machine that has joined starts with what it knows when no server answers.
func TestStartsWithoutAServer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cfg := h.machine(t, "one", "192.0.2.11", h.token(t, token.Agent))
	want, err := enter(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	cfg.Token = ""
	got, err := enter(t, cfg)
	if err != nil || got.Servers[0] != want.Servers[0] {
		t.Errorf("without a server: %v, %v", got, err)
	}
}

// One address may not try tokens without end.
func TestTriesAreLimited(t *testing.T) {
	t.Parallel()
	l := newLimits()
	tries := 0
	for l.allow("192.0.2.66") && tries < 10*tryBurst {
		tries++
	}
	if tries < tryBurst || tries > tryBurst+triesPerSecond {
		t.Errorf("%d tries in a row, want about %d", tries, tryBurst)
	}
	if !l.allow("192.0.2.67") {
		t.Error("another address pays for it")
	}
}

// A machine that has lost its disk gets its name back with a token that was made
// for it, which is good for that name alone.
func TestATokenForANode(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	if _, err := enter(t, h.machine(t, "one", "192.0.2.11", h.token(t, token.Agent))); err != nil {
		t.Fatal(err)
	}
	if err := h.api.Tracker().Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}}); err != nil {
		t.Fatal(err)
	}
	made, err := token.Parse(h.token(t, token.Agent))
	if err != nil {
		t.Fatal(err)
	}
	made.ID = "made"
	record := token.RecordOf(made, time.Now())
	record.Node = "one"
	if err := h.tokens.Put(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	_, err = enter(t, h.machine(t, "two", "192.0.2.12", made.Text()))
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "for the node one") {
		t.Errorf("another name: %v", err)
	}
	if _, err := enter(t, h.machine(t, "one", "192.0.2.13", made.Text())); err != nil {
		t.Errorf("its own name, on another machine: %v", err)
	}
}
