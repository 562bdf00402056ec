//go:build e2e

package tests

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// With the embedded etcd everything works as with SQLite, and its ports are
// closed to everybody without its certificates.
func TestServerOnEtcd(t *testing.T) {
	s := ownServer(t, specNamed("etcd"), "datastore: {kind: etcd}\n")
	disk := s.ownDisk(t, dataDir+"/server/db", "400M")
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
	t.Run("its disk stalls", func(t *testing.T) { s.diskStalls(t, disk) })
	s.stopKelp(t)
	s.start(t)
	s.awaitNoProblem(t, soon, "datastore", "warning") // its disk may well be slow
	s.awaitDeployments(t, "shop", 1, podUp)
	t.Run("on a full disk", func(t *testing.T) { etcdFillsItsDisk(t, s) })
}

// etcdFillsItsDisk has the disk full faster than anybody looks. etcd ends the process
// then: it says that it is the disk, and what it has acknowledged is there afterwards.
func etcdFillsItsDisk(t *testing.T, s *server) {
	db := dataDir + "/server/db"
	s.run(t, "dd if=/dev/zero of="+db+"/filler bs=64k 2>/dev/null || true")
	acknowledged := map[string]bool{}
	for i := 0; s.run(t, "systemctl is-active kelp || true") == "active"; i++ {
		if i == 300 {
			t.Fatal("there was room for 30 MB on a full disk")
		}
		name := fmt.Sprintf("during-%d", i)
		r, err := s.Exec(t.Context(), "", hosts.KelpPath, "kubectl", "--request-timeout=5s", "create", "configmap", "--from-literal=a="+strings.Repeat("x", 100_000), name)
		if err != nil {
			t.Fatal(err)
		}
		acknowledged[name] = r.Code == 0
	}
	s.awaitLog(t, soon, "the disk is full: make room")
	awaitPage(t, soon, lab.lab.Dial, "http://"+s.Address+":8088/") // pods run on
	s.run(t, "rm "+db+"/filler; systemctl reset-failed kelp")
	s.start(t)
	for name, written := range acknowledged {
		if written && !s.hasConfigMap(t, name) {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
	s.kubectl(t, "create", "configmap", "after")
	t.Logf("kelp ended at write %d", len(acknowledged))
}
