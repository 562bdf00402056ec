package join

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/kine/kinetest"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
)

// shareWith has a server be of the store's cluster.
func shareWith(ctx context.Context, cfg config.Config, store clientv3.KV) error {
	return Share(ctx, cfg, store, func(ctx context.Context) error {
		if err := pki.New(cfg).Ensure(ctx); err != nil {
			return err
		}
		return token.Ensure(cfg)
	})
}

func authority(t *testing.T, cfg config.Config) []byte {
	t.Helper()
	text, err := os.ReadFile(pki.AuthorityFiles(cfg.Paths(), pki.ServerCA).Key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func stateless(t *testing.T, name, address, secret string) config.Config {
	t.Helper()
	cfg := testConfig(t, name, address)
	cfg.Token = secret
	return cfg
}

const sharedSecret = "a-secret-that-all-servers-were-given"

// Two servers that start at the same moment are of one cluster, and so is one
// that comes later; nobody else gets the keys.
func TestServersShareADatastore(t *testing.T) {
	t.Parallel()
	store := kinetest.Start(t)()
	servers := []config.Config{stateless(t, "one", "192.0.2.1", sharedSecret), stateless(t, "two", "192.0.2.2", sharedSecret)}
	var starting sync.WaitGroup
	for _, cfg := range servers {
		starting.Go(func() {
			if err := shareWith(t.Context(), cfg, store); err != nil {
				t.Errorf("%s: %v", cfg.Node.Name, err)
			}
		})
	}
	starting.Wait()
	later := stateless(t, "three", "192.0.2.3", sharedSecret)
	for range 2 { // and once more, as after a restart
		if err := shareWith(t.Context(), later, store); err != nil {
			t.Fatal(err)
		}
	}
	for _, cfg := range servers {
		if !bytes.Equal(authority(t, cfg), authority(t, later)) {
			t.Errorf("%s has another authority", cfg.Node.Name)
		}
	}
	res, err := store.Get(t.Context(), sharedKey)
	if err != nil {
		t.Fatal(err)
	}
	if text := res.Kvs[0].Value; bytes.Contains(text, []byte("PRIVATE KEY")) || bytes.Contains(text, []byte(sharedSecret)) {
		t.Errorf("the datastore holds a key in the clear: %s", text)
	}
	for name, c := range map[string]struct {
		cfg  config.Config
		want string
	}{
		"no token":     {stateless(t, "four", "192.0.2.4", ""), "set token or tokenFile"},
		"wrong secret": {stateless(t, "four", "192.0.2.4", "another-secret-altogether-and-long"), "cannot be opened"},
	} {
		if err := shareWith(t.Context(), c.cfg, store); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if has, err := HasKeys(c.cfg.Paths()); err != nil || has {
			t.Errorf("%s: it has keys: %v, %v", name, has, err)
		}
	}
	other := stateless(t, "five", "192.0.2.5", sharedSecret)
	if err := pki.New(other).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := token.Ensure(other); err != nil {
		t.Fatal(err)
	}
	if err := shareWith(t.Context(), other, store); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Errorf("a server of another cluster: %v", err)
	}
}

// When the token has got another secret, the keys are sealed with that, and a
// server that does not know yet leaves it so.
func TestSharedKeysFollowTheToken(t *testing.T) {
	t.Parallel()
	store := kinetest.Start(t)()
	cfg, other := stateless(t, "one", "192.0.2.1", sharedSecret), stateless(t, "three", "192.0.2.3", sharedSecret)
	for _, c := range []config.Config{cfg, other} {
		if err := shareWith(t.Context(), c, store); err != nil {
			t.Fatal(err)
		}
	}
	const next = "the-secret-after-that-which-is-new"
	text, err := os.ReadFile(cfg.Paths().TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.Paths().TokenFile, bytes.Replace(text, []byte(sharedSecret), []byte(next), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Reseal(t.Context(), cfg, store); err != nil {
		t.Fatal(err)
	}
	if err := shareWith(t.Context(), other, store); err != nil {
		t.Errorf("a server with the old secret, which has the keys: %v", err)
	}
	if err := shareWith(t.Context(), stateless(t, "two", "192.0.2.2", sharedSecret), store); err == nil {
		t.Error("the old secret opens the keys")
	}
	if err := shareWith(t.Context(), stateless(t, "two", "192.0.2.2", next), store); err != nil {
		t.Errorf("the new secret: %v", err)
	}
}
