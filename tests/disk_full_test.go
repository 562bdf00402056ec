//go:build e2e

package tests

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// With a disk that is full nothing is written and nothing is lost, kelp says what
// is wrong and goes on by itself when there is room.
func TestDiskFull(t *testing.T) {
	s := ownServer(t, specNamed("full"), "")
	db := dataDir + "/server/db"
	s.run(t, "mkdir -p "+db+"; chmod 700 "+dataDir+"/server "+db+"; mount -t tmpfs -o size=150m,mode=700 tmpfs "+db)
	s.start(t)
	s.kubectl(t, "create", "configmap", "before")
	pid := s.run(t, "systemctl show --property=MainPID --value kelp")

	s.run(t, "dd if=/dev/zero of="+db+"/filler bs=64k 2>/dev/null || true")
	acknowledged := map[string]bool{}
	for i := range 20 {
		name := fmt.Sprintf("during-%d", i)
		r, err := s.Exec(t.Context(), "", hosts.KelpPath, "kubectl", "create", "configmap", "--from-literal=a="+strings.Repeat("x", 100_000), name)
		if err != nil {
			t.Fatal(err)
		}
		acknowledged[name] = r.Code == 0
		if r.Code != 0 && !strings.Contains(r.Stderr, "disk is full or fails") {
			t.Errorf("the write is refused with %q", r.Stderr)
		}
	}
	if !slices.Contains(slices.Collect(maps.Values(acknowledged)), false) {
		t.Error("there was room for 2 MB on a full disk")
	}
	s.awaitProblem(t, "space", "the disk below the datastore has")
	s.awaitDiagnosis(t, soon, "problem", "kelp: component space is degraded", "the disk below the datastore has")
	s.refuses(t, "no space left on device", "snapshot", "save", "--snapshot-dir="+db+"/snapshots")
	if left := s.run(t, "ls "+db+"/snapshots"); left != "" {
		t.Errorf("a snapshot that was not made has left %q", left)
	}

	s.run(t, "rm "+db+"/filler")
	hosts.Eventually(t, 3*soon, "writes are taken again", func(ctx context.Context) error {
		_, err := s.Kubectl(ctx, "create", "configmap", "after")
		return err
	})
	acknowledged["before"] = true
	for name, written := range acknowledged {
		if s.hasConfigMap(t, name) != written {
			t.Errorf("%s: acknowledged %t, and it is there: %t", name, written, !written)
		}
	}
	if now := s.run(t, "systemctl show --property=MainPID --value kelp"); now != pid {
		t.Errorf("kelp was process %s and is %s", pid, now)
	}
	hosts.Eventually(t, ready, "kelp is well again", func(ctx context.Context) error {
		_, err := s.Run(ctx, hosts.KelpPath, "status")
		return err
	})
}
