//go:build e2e

package tests

import (
	"fmt"
	"strings"
	"testing"
)

// With the embedded etcd everything works as with SQLite, and its ports are
// closed to everybody without its certificates.
func TestServerOnEtcd(t *testing.T) {
	s := ownServer(t, specNamed("etcd"), "datastore: {kind: etcd}\n")
	s.start(t)
	s.awaitDeployments(t, "kube-system", 3, ready)
	s.apply(t, fmt.Sprintf(appManifest, "shop", "LoadBalancer", 8088))
	s.awaitDeployments(t, "shop", 1, podUp)
	awaitPage(t, soon, lab.lab.Dial, "http://"+s.Address+":8088/")

	if lease := s.kubectl(t, "-n", "kube-system", "get", "lease", "kelp", "--ignore-not-found"); lease != "" {
		t.Errorf("a single server writes a lease: %s", lease)
	}
	for _, port := range []string{"2379", "2380"} {
		r, err := s.Exec(t.Context(), "", "curl", "-sk", "--max-time", "5", "https://127.0.0.1:"+port+"/version")
		if err != nil || r.Code == 0 {
			t.Errorf("etcd's port %s answers without a client certificate: %+v, %v", port, r, err)
		}
		if r, err = s.Exec(t.Context(), "", "curl", "-s", "--max-time", "5", "http://127.0.0.1:"+port+"/version"); err != nil || strings.Contains(r.Stdout, "etcdserver") {
			t.Errorf("etcd's port %s answers without TLS: %+v, %v", port, r, err)
		}
	}
	s.stopKelp(t)
	s.start(t)
	s.awaitDeployments(t, "shop", 1, podUp)
}
