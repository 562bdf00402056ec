package join

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
)

func becomeServer(t *testing.T, cfg config.Config) error {
	t.Helper()
	member, err := NewMember(cfg)
	if err != nil {
		return err
	}
	return member.Peer(t.Context(), func(c Cluster) (config.Config, error) { return cfg.WithCluster(c.Settings, nil) })
}

// A server that joins has the cluster's keys, and they have not travelled in
// the clear.
func TestAServerGetsTheKeys(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cfg := h.machine(t, "two", "192.0.2.12", h.token(t, token.Server))
	if Joined(cfg) {
		t.Error("has joined before")
	}
	if err := becomeServer(t, cfg); err != nil {
		t.Fatal(err)
	}
	if !Joined(cfg) {
		t.Error("has not joined")
	}
	theirs := bundleFiles(h.cfg.Paths())
	for name, path := range bundleFiles(cfg.Paths()) {
		mine, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := os.ReadFile(theirs[name]); err != nil || !bytes.Equal(mine, want) {
			t.Errorf("%s is not the cluster's: %v", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if strings.Contains(h.seen.String(), "PRIVATE KEY") {
		t.Error("a private key has travelled in the clear")
	}
	// Its own certificates come from the same authorities.
	if err := pki.New(cfg).Ensure(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who may not be a server, and that a refusal leaves nothing on either side.
func TestServersThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	good := h.token(t, token.Server)
	for name, c := range map[string]struct {
		name, address, token, want string
		grow                       error
	}{
		"agent's token":  {"two", "192.0.2.12", h.token(t, token.Agent), "agent token agent lets no server in", nil},
		"wrong secret":   {"two", "192.0.2.12", good + "x", "not one of this cluster's", nil},
		"the hub's name": {"hub", "192.0.2.12", good, "belongs to another machine", nil},
		"its address":    {"two", "192.0.2.1", good, "is the address of", nil},
		"SQLite stays":   {"two", "192.0.2.12", good, "by its configuration", &RefusalError{"its datastore is SQLite, by its configuration"}},
	} {
		h.grow = c.grow
		cfg := h.machine(t, c.name, c.address, c.token)
		err := becomeServer(t, cfg)
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a refusal with %q", name, err, c.want)
		}
		for _, path := range bundleFiles(cfg.Paths()) {
			if _, err := os.Stat(path); err == nil {
				t.Errorf("%s: there is %s", name, path)
			}
		}
		if Joined(cfg) {
			t.Errorf("%s: has joined", name)
		}
	}
}

// A sealed bundle opens with its secret and with nothing else, and two are
// never alike.
func TestSeal(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first, err := seal(h.cfg.Paths(), "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(first, "secret"); err != nil {
		t.Error(err)
	}
	second, err := seal(h.cfg.Paths(), "secret", nil)
	if err != nil || bytes.Equal(first[:64], second[:64]) {
		t.Errorf("the same secret gives the same bytes: %v", err)
	}
	damaged := bytes.Clone(first)
	damaged[len(damaged)/2] ^= 1
	for name, c := range map[string]struct {
		sealed []byte
		secret string
	}{"wrong secret": {first, "secre"}, "damaged": {damaged, "secret"}, "cut": {first[:len(first)-1], "secret"}, "empty": {nil, "secret"}} {
		if _, err := open(c.sealed, c.secret); !errors.Is(err, errSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := seal(h.cfg.Paths(), "", nil); err == nil {
		t.Error("sealed with nothing")
	}
}

// With a joiner's own salt a bundle opens with the key that was derived ahead, which
// opens those of other salts, too; and still no two are alike.
func TestSealWithSalt(t *testing.T) {
	t.Parallel()
	h, opener := newHub(t), newOpener("secret")
	salt := opener.salt
	var bundles [][]byte
	for _, given := range [][]byte{salt, salt, nil, salt[:8]} {
		sealed, err := seal(h.cfg.Paths(), "secret", given)
		if err != nil {
			t.Fatal(err)
		}
		if own := bytes.HasPrefix(sealed, salt); own != (len(given) == len(salt)) {
			t.Errorf("salt %x: sealed with the joiner's: %v", given, own)
		}
		if _, err := opener.open(sealed); err != nil {
			t.Errorf("salt %x: %v", given, err)
		}
		bundles = append(bundles, sealed)
	}
	if bytes.Equal(bundles[0], bundles[1]) {
		t.Error("the same salt gives the same bytes")
	}
	if _, err := newOpener("secre").open(bundles[0]); !errors.Is(err, errSealed) {
		t.Errorf("opened with another secret: %v", err)
	}
}

func TestSkew(t *testing.T) {
	t.Parallel()
	for other, fine := range map[string]bool{"v1.37.2": true, "v1.36.0": true, "v1.38.1": true, "v1.35.9": false, "v1.39.0": false, "v2.37.0": false, "": false} {
		if err := skew("v1.37.2", other); (err == nil) != fine {
			t.Errorf("%q: %v", other, err)
		}
	}
}

// A server that has left and comes back at once waits until its old
// registration has ended, and joins then.
func TestAServerThatComesBackWaitsForItsAddress(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	slices := h.api.DiscoveryV1().EndpointSlices("default")
	registered, err := slices.Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	alone := registered.DeepCopy()
	registered.Endpoints[0].Addresses = append(registered.Endpoints[0].Addresses, "192.0.2.12")
	if _, err := slices.Update(t.Context(), registered, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	cfg := h.machine(t, "two", "192.0.2.12", h.token(t, token.Server))
	ended := make(chan error, 1)
	go func() { ended <- becomeServer(t, cfg) }()
	if err := poll.Until(t.Context(), 10*time.Second, func(context.Context) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !strings.Contains(h.seen.String(), "still registered") {
			return errors.New("it has not been told why")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := slices.Update(t.Context(), alone, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
