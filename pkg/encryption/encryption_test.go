package encryption

import (
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestARotationOnTwoServers(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	one, two := c.add("192.0.2.1:6443"), c.add("192.0.2.2:6443")
	c.start(one)
	c.start(two)
	first := c.await(one, "both have loaded the first key", loadedBy(2))
	if len(first.Keys) != 1 || first.Write != first.Keys[0].Name || first.Stage != Settled {
		t.Fatalf("at first: %+v", first)
	}
	const n = 3*pageSize + 1
	c.fill(one, n)
	c.readable(two, n)
	holdsNo(t, c, "text 7")
	for _, key := range keysIn(t, one) {
		holdsNo(t, c, key)
	}

	c.background(one.Lead, func() {})
	two.freeze(true)
	c.begin(two, Rotate)
	st := c.await(one, "it waits for the second server", func(s Status) bool { return strings.Contains(s.Problem, "192.0.2.2:6443") })
	if st.Write != first.Write || st.Stage != Spreading {
		t.Errorf("while a server does not know the key: %+v", st)
	}
	if resumed, err := Begin(t.Context(), one.paths, c.store, Rotate); err != nil || !resumed {
		t.Errorf("a second rotation: resumed %v, %v", resumed, err)
	}
	two.freeze(false)
	st = c.await(one, "the rotation is done", settled)
	if st.Write == first.Write || len(st.Keys) != 2 || st.Keys[0].Secrets != n || st.Keys[1].Secrets != 0 || st.Problem != "" {
		t.Errorf("after the rotation: %+v", st)
	}
	c.readable(one, n)
	c.readable(two, n)
}

// keysIn are the keys in a server's file, as they are and in base64.
func keysIn(t *testing.T, s *server) (keys []string) {
	t.Helper()
	text, err := os.ReadFile(s.paths.Encryption)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, coded, ok := strings.Cut(strings.TrimSpace(line), "secret: "); ok {
			plain, err := base64.StdEncoding.DecodeString(coded)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, coded, string(plain))
		}
	}
	if len(keys) == 0 {
		t.Fatalf("%s holds no key", s.paths.Encryption)
	}
	return keys
}

// holdsNo looks for a text in everything that is stored.
func holdsNo(t *testing.T, c *cluster, text string) {
	t.Helper()
	res, err := c.store.Get(t.Context(), "/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range res.Kvs {
		if strings.Contains(string(k.Value), text) {
			t.Errorf("%s holds %q as it is", k.Key, text)
		}
	}
}

func TestARotationGoesOnWithAnotherLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	one, two := c.add("192.0.2.1:6443"), c.add("192.0.2.2:6443")
	stop := c.start(one)
	c.start(two)
	c.await(one, "both have loaded the first key", loadedBy(2))
	c.fill(one, 5)
	if err := c.put(one, "guarded", "x"); err != nil {
		t.Fatal(err)
	}
	rest := c.background(one.Lead, func() {})
	c.begin(one, Rotate)
	c.await(one, "it says what is in the way", func(s Status) bool { return s.Stage == Rewriting && strings.Contains(s.Problem, "default/guarded") })
	rest()
	stop()
	delete := []clientv3.Op{clientv3.OpDelete(secrets + "default/guarded")}
	res, err := c.store.Get(t.Context(), secrets+"default/guarded")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision(secrets+"default/guarded"), "=", res.Kvs[0].ModRevision)).
		Then(delete...).Else(clientv3.OpGet(secrets + "default/guarded")).Commit(); err != nil {
		t.Fatal(err)
	}
	c.background(two.Lead, func() {})
	st := c.await(two, "the rotation is done by the other", settled)
	if st.Keys[0].Secrets != 5 || len(st.Servers) != 1 {
		t.Errorf("after the rotation: %+v", st)
	}
	c.start(one) // it has slept through the change
	c.readable(one, 5)
}

func TestDisableAndEnable(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	one := c.add("192.0.2.1:6443")
	c.start(one)
	c.background(one.Lead, func() {})
	c.await(one, "the first key is loaded", loadedBy(1))
	c.fill(one, 3)
	c.begin(one, Disable)
	if st := c.await(one, "nothing is encrypted", settled); st.Plain != 3 || st.Write != "" {
		t.Errorf("disabled: %+v", st)
	}
	if _, err := Begin(t.Context(), one.paths, c.store, Rotate); err == nil {
		t.Error("a key that is not there was rotated")
	}
	c.begin(one, Enable)
	if st := c.await(one, "all is encrypted", settled); st.Keys[0].Secrets != 3 || st.Plain != 0 {
		t.Errorf("enabled: %+v", st)
	}
	if _, err := Begin(t.Context(), one.paths, c.store, Enable); err == nil {
		t.Error("what is enabled was enabled")
	}
	c.readable(one, 3)
}

// A cluster of a time before has Secrets, and servers that do not know of keys.
func TestSecretsThatWereThereBefore(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	if _, err := put(t.Context(), c.store, secrets+"default/s000", "text 0", 0); err != nil {
		t.Fatal(err)
	}
	old := "192.0.2.9:6443"
	c.running = append(c.running, old)
	one := c.add("192.0.2.1:6443")
	c.start(one)
	c.background(one.Lead, func() {})
	st := c.await(one, "it waits for the older server", func(s Status) bool { return strings.Contains(s.Problem, old) })
	if st.Write != "" || st.Plain != 1 {
		t.Errorf("while an older server runs: %+v", st)
	}
	c.mu.Lock()
	c.running = slices.DeleteFunc(c.running, func(a string) bool { return a == old })
	c.mu.Unlock()
	if st := c.await(one, "all is encrypted", settled); st.Plain != 0 || st.Keys[0].Secrets != 1 {
		t.Errorf("after it was upgraded: %+v", st)
	}
	c.readable(one, 1)
}

func TestAnotherClustersServerIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.start(c.add("192.0.2.1:6443"))
	c.key = []byte("another servers' key")
	err := c.add("192.0.2.2:6443").Ensure(t.Context())
	if err == nil || !strings.Contains(err.Error(), "cannot be opened with the keys of this server") {
		t.Errorf("got %v", err)
	}
}

func TestTheFileIsRootsAlone(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	one := c.add("192.0.2.1:6443")
	c.start(one)
	info, err := os.Stat(one.paths.Encryption)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
