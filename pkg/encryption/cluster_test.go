package encryption

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/kine/kinetest"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/pki"
)

// cluster is servers on one datastore. Their API servers are stood in for by
// upstream's own transformers, which encrypt and decrypt what is stored.
type cluster struct {
	t       *testing.T
	connect func() *clientv3.Client
	store   *clientv3.Client
	key     []byte // that servers have in common

	mu      sync.Mutex
	running []string
}

// server is one of them.
type server struct {
	*Encryption
	paths config.Paths

	mu     sync.Mutex
	loaded string // the hash of what its API has loaded
	frozen bool   // its API loads nothing
	crypt  value.Transformer
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, connect: kinetest.Start(t), key: []byte("the servers' key")}
	c.store = c.connect()
	return c
}

func (c *cluster) add(address string) *server {
	c.t.Helper()
	s := &server{paths: config.Paths{TLS: c.t.TempDir(), Encryption: filepath.Join(c.t.TempDir(), "encryption.yaml")}}
	private, _ := pki.ServiceAccountFiles(s.paths)
	if err := os.WriteFile(private, c.key, 0o600); err != nil {
		c.t.Fatal(err)
	}
	s.Encryption = New(Options{
		Paths: s.paths, Address: address, Loaded: s.reload,
		Store: func(...string) (*clientv3.Client, error) { return c.connect(), nil },
		API:   func() (kubernetes.Interface, error) { return c.api(s), nil },
		Servers: func(context.Context) ([]string, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return slices.Clone(c.running), nil
		},
	})
	return s
}

// start is what kelp server does.
func (c *cluster) start(s *server) (stop func()) {
	c.t.Helper()
	if err := s.Ensure(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.running = append(c.running, s.opts.Address)
	c.mu.Unlock()
	return c.background(s.Run, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running = slices.DeleteFunc(c.running, func(a string) bool { return a == s.opts.Address })
	})
}

func (c *cluster) background(run func(context.Context) error, after func()) (stop func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := run(ctx); err != nil {
			c.t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		after()
		cancel()
		all.Wait()
	})
	c.t.Cleanup(stop)
	return stop
}

// reload is an API server that looks at its file.
func (s *server) reload() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return s.loaded, nil
	}
	loaded, err := encryptionconfig.LoadEncryptionConfig(context.Background(), s.paths.Encryption, true, "test")
	if err != nil {
		return "", err
	}
	s.loaded = loaded.EncryptionFileContentHash
	s.crypt = encryptionconfig.StaticTransformers(loaded.Transformers).TransformerForResource(corev1.Resource("secrets"))
	return s.loaded, nil
}

func (s *server) freeze(frozen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = frozen
}

type where string

func (w where) AuthenticatedData() []byte { return []byte(w) }

// put has the server's API write a Secret.
func (c *cluster) put(s *server, name, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := secrets + "default/" + name
	stored, err := s.crypt.TransformToStorage(context.Background(), []byte(text), where(key))
	if err != nil {
		return err
	}
	res, err := c.store.Get(context.Background(), key)
	if err != nil {
		return err
	}
	var over int64
	if len(res.Kvs) > 0 {
		over = res.Kvs[0].ModRevision
	}
	_, err = put(context.Background(), c.store, key, string(stored), over)
	return err
}

// get has it read one.
func (c *cluster) get(s *server, name string) (text string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	res, err := c.store.Get(context.Background(), secrets+"default/"+name)
	if err != nil || len(res.Kvs) == 0 {
		return "", errors.Join(err, errors.New("no such Secret"))
	}
	plain, _, err := s.crypt.TransformFromStorage(context.Background(), res.Kvs[0].Value, where(secrets+"default/"+name))
	return string(plain), err
}

// api is the server's, as far as Secrets are got and updated.
func (c *cluster) api(s *server) kubernetes.Interface {
	client := fake.NewClientset()
	client.PrependReactor("get", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		name := a.(clienttesting.GetAction).GetName()
		text, err := c.get(s, name)
		return true, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"text": []byte(text)}}, err
	})
	client.PrependReactor("update", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		secret := a.(clienttesting.UpdateAction).GetObject().(*corev1.Secret)
		if secret.Name == "guarded" {
			return true, nil, apierrors.NewForbidden(corev1.Resource("secrets"), secret.Name, errors.New("a webhook says no"))
		}
		return true, secret, c.put(s, secret.Name, string(secret.Data["text"]))
	})
	return client
}

func (c *cluster) status(s *server) Status {
	c.t.Helper()
	st, err := StatusOf(c.t.Context(), s.paths, c.store)
	if err != nil {
		c.t.Fatal(err)
	}
	return st
}

func (c *cluster) await(s *server, what string, ok func(Status) bool) Status {
	c.t.Helper()
	var st Status
	if err := poll.Until(c.t.Context(), 30*time.Second, func(context.Context) error {
		if st = c.status(s); !ok(st) {
			return fmt.Errorf("%+v", st)
		}
		return nil
	}); err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	return st
}

func settled(s Status) bool { return s.Stage == Settled }

// loadedBy waits until all servers say that they have what they should have.
func loadedBy(n int) func(Status) bool {
	return func(s Status) bool { return len(s.Servers) == n && len(s.Behind()) == 0 }
}

func (c *cluster) begin(s *server, change Change) {
	c.t.Helper()
	if resumed, err := Begin(c.t.Context(), s.paths, c.store, change); err != nil || resumed {
		c.t.Fatalf("%s: resumed %v, %v", change, resumed, err)
	}
}

func (c *cluster) fill(s *server, n int) {
	c.t.Helper()
	for i := range n {
		if err := c.put(s, fmt.Sprintf("s%03d", i), fmt.Sprintf("text %d", i)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *cluster) readable(s *server, n int) {
	c.t.Helper()
	for i := range n {
		if text, err := c.get(s, fmt.Sprintf("s%03d", i)); err != nil || text != fmt.Sprintf("text %d", i) {
			c.t.Errorf("Secret %d is read as %q, %v", i, text, err)
		}
	}
}
