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

// Where containers and what they log are: on file systems of their own, which fill up
// beside the datastore's.
const (
	containersDir = dataDir + "/agent/containerd"
	podLogsDir    = "/var/log/pods"
)

// impatient has the kubelet say at once that there is room again, and not only after
// five minutes.
const impatient = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
evictionPressureTransitionPeriod: 1s
`

// With disks that are full nothing is written and nothing is lost, kelp says what
// is wrong and goes on by itself when there is room.
func TestDiskFull(t *testing.T) {
	s := ownServer(t, specNamed("full"), "")
	db := dataDir + "/server/db"
	s.run(t, "mkdir -p "+db+"; chmod 700 "+dataDir+"/server "+db+"; mount -t tmpfs -o size=150m,mode=700 tmpfs "+db)
	s.run(t, "mkdir -p "+containersDir+" "+podLogsDir+"; mount -t tmpfs -o size=700m,mode=711 tmpfs "+containersDir+"; mount -t tmpfs -o size=1m tmpfs "+podLogsDir)
	s.write(t, "/etc/kelp/kubelet.conf.d/10-soon.conf", impatient)
	s.start(t)
	s.kubectl(t, "create", "configmap", "before")
	s.apply(t, fmt.Sprintf(appManifest, "shop", "LoadBalancer", 8089))
	s.awaitDeployments(t, "shop", 1, podUp)
	pid := s.run(t, "systemctl show --property=MainPID --value kelp")

	// The kubelet deletes what it does not know below its own directory of logs.
	logs := s.run(t, "ls -d "+podLogsDir+"/kube-system_coredns*/coredns")
	for _, dir := range []string{containersDir, logs, db} {
		s.run(t, "dd if=/dev/zero of="+dir+"/filler bs=4k 2>/dev/null || true")
	}
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
	s.awaitDiagnosis(t, 2*soon, "problem", "nodes: full is short of room on its disk")
	s.run(t, "rm "+containersDir+"/filler "+logs+"/filler")
	s.awaitNoProblem(t, 2*soon, "nodes")
	s.awaitDeployments(t, "shop", 1, podUp)
	s.logsAgain(t)

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

// logsAgain waits until what the application logs can be read.
func (s *server) logsAgain(t *testing.T) {
	t.Helper()
	url := "http://" + s.Address + ":8089/"
	awaitPage(t, soon, lab.lab.Dial, url)
	hosts.Eventually(t, soon, "requests are in the log", func(ctx context.Context) error {
		if _, err := hosts.Get(ctx, lab.lab.Dial, url+"there-is-room"); err != nil {
			return err
		}
		// One that was evicted has no log any more.
		pods, err := s.Kubectl(ctx, "-n", "shop", "get", "pods", "-l", "app=web", "--field-selector=status.phase=Running", "-o", "name")
		if err != nil {
			return err
		}
		var all strings.Builder
		for _, pod := range strings.Fields(pods) {
			out, err := s.Kubectl(ctx, "-n", "shop", "logs", pod)
			if err != nil {
				return err
			}
			all.WriteString(out)
		}
		if !strings.Contains(all.String(), "/there-is-room") {
			return fmt.Errorf("it is %q", all.String())
		}
		return nil
	})
}
