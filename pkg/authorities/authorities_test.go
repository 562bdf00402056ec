package authorities

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/pki"
)

// limit bounds what another goroutine does at once.
const limit = 30 * time.Second

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

// newServer makes a server with the authorities and keys of another one, or its own
// where that is nil.
func newServer(t *testing.T, address string, of *config.Config) config.Config {
	t.Helper()
	cfg := testConfig(t, "server", address)
	if of != nil {
		private, _ := pki.ServiceAccountFiles(of.Paths())
		files := []string{private}
		for _, name := range pki.AuthorityNames {
			f := pki.AuthorityFiles(of.Paths(), name)
			files = append(files, f.Cert, f.Key)
		}
		if err := os.MkdirAll(cfg.Paths().TLS, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(filepath.Join(cfg.Paths().TLS, filepath.Base(path)), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := pki.New(cfg).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// follow has a server follow the cluster until the test ends, or stop is called.
func follow(t *testing.T, cfg config.Config, api kubernetes.Interface) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	f := &Follower{Config: cfg, Address: cfg.Node.IPs[0].String(), Adopt: pki.New(cfg).Adopt, Client: func() (kubernetes.Interface, error) { return api, nil }}
	go func() { done <- f.Run(ctx) }()
	stopped := false
	stop = func() {
		cancel()
		if !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

func succeed(t *testing.T, cfg config.Config, api kubernetes.Interface) {
	t.Helper()
	// A second generation within a second would have the names of the first.
	if _, err := Succeed(t.Context(), cfg, api, nil, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func hasGeneration(t *testing.T, cfg config.Config, want int) pki.Authorities {
	t.Helper()
	var have pki.Authorities
	if err := poll.Until(t.Context(), limit, func(context.Context) (err error) {
		if have, err = pki.ReadAuthorities(cfg.Paths()); err == nil && have.Generation != want {
			err = errors.New("another generation")
		}
		return err
	}); err != nil {
		t.Fatalf("generation %d, wanted %d: %v", have.Generation, want, err)
	}
	return have
}

func untilAdopted(t *testing.T, api kubernetes.Interface, generation int, servers ...string) {
	t.Helper()
	var s Status
	if err := poll.Until(t.Context(), limit, func(ctx context.Context) (err error) {
		if s, err = StatusOf(ctx, api, servers); err == nil && (s.Generation != generation || len(s.Behind()) > 0) {
			err = errors.New("not yet")
		}
		return err
	}); err != nil {
		t.Fatalf("%+v, wanted generation %d: %v", s, generation, err)
	}
}

func TestAllServersAdoptSuccessors(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset()
	a := newServer(t, "192.0.2.1", nil)
	b, c := newServer(t, "192.0.2.2", &a), newServer(t, "192.0.2.3", &a)
	for _, cfg := range []config.Config{a, b} {
		follow(t, cfg, api)
	}
	succeed(t, a, api)
	first, second := hasGeneration(t, a, 1), hasGeneration(t, b, 1)
	for _, name := range pki.AuthorityNames {
		if !bytes.Equal(first.Pairs[name].Cert, second.Pairs[name].Cert) || !bytes.Equal(first.Pairs[name].Key, second.Pairs[name].Key) {
			t.Errorf("the servers have other authorities %s", name)
		}
	}
	untilAdopted(t, api, 1, "192.0.2.1", "192.0.2.2")
	s, err := StatusOf(t.Context(), api, []string{"192.0.2.1", "192.0.2.3"})
	if behind := s.Behind(); err != nil || len(behind) != 1 || behind[0] != "192.0.2.3" {
		t.Errorf("behind are %s, %v", behind, err)
	}
	// One that was away follows, and cannot be the one that goes on before.
	if _, err := Succeed(t.Context(), c, api, nil, time.Now()); err == nil || !strings.Contains(err.Error(), "this server has generation 0 of the authorities, the cluster 1") {
		t.Errorf("a server that has not followed: %v", err)
	}
	follow(t, c, api)
	untilAdopted(t, api, 1, "192.0.2.1", "192.0.2.2", "192.0.2.3")
	hasGeneration(t, c, 1)
}

func TestAuthoritiesThatTheDatastoreForgotAreShownAgain(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset()
	a := newServer(t, "192.0.2.1", nil)
	b := newServer(t, "192.0.2.2", &a)
	stop := follow(t, a, api)
	succeed(t, a, api)
	have := hasGeneration(t, a, 1)
	untilAdopted(t, api, 1, "192.0.2.1")
	// As a restore of an older snapshot does.
	if err := api.CoreV1().Secrets(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	untilAdopted(t, api, 1, "192.0.2.1")
	stop()
	follow(t, a, api)
	follow(t, b, api)
	if got := hasGeneration(t, b, 1); !bytes.Equal(got.Pairs[pki.ServerCA].Cert, have.Pairs[pki.ServerCA].Cert) {
		t.Error("the other server has others")
	}
	hasGeneration(t, a, 1)
}

func TestOnlyServersOpenTheSecret(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset()
	a, stranger := newServer(t, "192.0.2.1", nil), newServer(t, "192.0.2.9", nil)
	succeed(t, a, api)
	there, err := load(t.Context(), api)
	if err != nil {
		t.Fatal(err)
	}
	next, err := there.open(a.Paths())
	if err != nil || next.Generation != 1 {
		t.Fatal(next.Generation, err)
	}
	for key, value := range there.object.Data {
		if bytes.Contains(value, []byte("PRIVATE KEY")) || bytes.Contains(value, next.Pairs[pki.ClientCA].Key) {
			t.Errorf("%s shows a key", key)
		}
	}
	before, err := pki.ReadAuthorities(stranger.Paths())
	if err != nil {
		t.Fatal(err)
	}
	f := &Follower{Config: stranger, Address: "192.0.2.9", Adopt: pki.New(stranger).Adopt}
	if err := f.follow(t.Context(), api); err == nil || !strings.Contains(err.Error(), "cannot be opened") {
		t.Errorf("a stranger: %v", err)
	}
	there.generation = 7
	if _, err := there.open(a.Paths()); err == nil {
		t.Error("a sealed generation is good for another one")
	}
	after, err := pki.ReadAuthorities(stranger.Paths())
	if err != nil || !bytes.Equal(before.Pairs[pki.ServerCA].Cert, after.Pairs[pki.ServerCA].Cert) || after.Generation != 0 {
		t.Errorf("the stranger has generation %d, %v", after.Generation, err)
	}
}

func TestNothingIsWrittenForAnAuthorityThatCannotBe(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset()
	a := newServer(t, "192.0.2.1", nil)
	have, err := pki.ReadAuthorities(a.Paths())
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]pki.Pair{pki.ServerCA: have.Pairs[pki.ServerCA], pki.EtcdCA: {}}
	_, err = Succeed(t.Context(), a, api, given, time.Now())
	for _, want := range []string{"server-ca has the key of the one in use", "authority etcd-ca: there is no certificate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, wanted %s", err, want)
		}
	}
	if there, err := load(t.Context(), api); err != nil || there.object != nil {
		t.Errorf("the cluster has generation %d, %v", there.generation, err)
	}
}
