//go:build e2e

package tests

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

const snapshotsDir = dataDir + "/server/snapshots"

// snapshotEntry is one of kelp snapshot list.
type snapshotEntry struct {
	Name, Reason, Location, Problem string
	Revision                        int64
	Keys                            int
	Pinned                          bool
}

func (s *server) snapshots(ctx context.Context) (list []snapshotEntry, err error) {
	out, err := s.Run(ctx, hosts.KelpPath, "snapshot", "list", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &list)
	}
	return list, err
}

// saveSnapshot makes one and returns where it is.
func (s *server) saveSnapshot(t *testing.T, name string) string {
	t.Helper()
	var e snapshotEntry
	if err := json.Unmarshal([]byte(s.run(t, hosts.KelpPath+" snapshot save -o json --name="+name)), &e); err != nil {
		t.Fatal(err)
	}
	return e.Location
}

// hasConfigMap says whether a ConfigMap of the default namespace is there.
func (s *server) hasConfigMap(t *testing.T, name string) bool {
	t.Helper()
	return s.kubectl(t, "get", "configmap", name, "--ignore-not-found") != ""
}

// refuses fails the test unless kelp ends with an error that has a text in it.
func (s *server) refuses(t *testing.T, text string, args ...string) {
	t.Helper()
	r, err := s.Exec(t.Context(), "", append([]string{hosts.KelpPath}, args...)...)
	if err != nil || r.Code == 0 || !strings.Contains(r.Stderr, text) {
		t.Errorf("kelp %v: status %d, %v: %q, want %q", args, r.Code, err, r.Stderr, text)
	}
}

// Snapshots are made by themselves and when asked for, are shown, proved, and
// restored: on the same server, and on a new one, into the other datastore.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	s := ownServer(t, specNamed("snap"), "snapshots: {schedule: '@every 20s', jitter: 1s, retain: 1}\n")
	s.start(t)
	s.apply(t, fmt.Sprintf(appManifest, "shop", "LoadBalancer", 8089))
	s.awaitDeployments(t, "shop", 1, podUp)
	s.kubectl(t, "create", "configmap", "kept")
	s.kubectl(t, "create", "secret", "generic", "hidden", "--from-literal=word="+hidden)
	file := s.saveSnapshot(t, "mine")
	s.kubectl(t, "create", "configmap", "later")
	s.apply(t, fmt.Sprintf(pinned, "snap", "default"))
	s.run(t, "cp "+file+" /root/copy.snapshot.zst")
	if out := s.run(t, hosts.KelpPath+" snapshot verify"); !strings.Contains(out, "a datastore started on it has them all") {
		t.Errorf("verify printed %q", out)
	}
	if out := s.run(t, "stat -c %a "+file+" "+snapshotsDir); out != "600\n700" {
		t.Errorf("modes %q", out)
	}
	s.run(t, "mkdir /root/plain; zstd -dq "+file+" -o /root/plain/s")
	holdsNoKey(t, s, "/root/plain")
	s.awaitScheduled(t, file)

	t.Run("what is broken is refused", func(t *testing.T) { brokenSnapshots(t, s, file) })
	t.Run("on the same server", func(t *testing.T) {
		s.awaitPodNamed(t, "default", "on-snap", podUp)
		s.follow(t, "backup.md", "same", map[string]string{"SNAPSHOT": filepath.Base(file)})
		if !s.hasConfigMap(t, "kept") || s.hasConfigMap(t, "later") {
			t.Error("the datastore is not what the snapshot holds")
		}
		s.awaitDeployments(t, "shop", 1, podUp)
		awaitPage(t, soon, lab.lab.Dial, "http://"+s.Address+":8089/")
		s.awaitReason(t, "before-restore")
		hosts.Eventually(t, podUp, "the pod that the snapshot does not know is gone", func(ctx context.Context) error {
			out, err := s.Shell(ctx, "kelp crictl ps -q --label io.kubernetes.pod.name=on-snap; kelp kubectl get pods -o name")
			if err == nil && out != "" {
				err = errors.New(out)
			}
			return err
		})
	})
	t.Run("by a flag that stays", func(t *testing.T) {
		s.kubectl(t, "create", "configmap", "later")
		s.run(t, "systemctl set-environment KELP_RESTORE=/root/copy.snapshot.zst; systemctl stop kelp")
		s.start(t) // the restore before was settled by a start without the flag
		if s.hasConfigMap(t, "later") {
			t.Error("the snapshot was not restored")
		}
		s.kubectl(t, "create", "configmap", "later")
		s.run(t, "systemctl stop kelp")
		s.start(t)
		if !s.hasConfigMap(t, "later") {
			t.Error("the same snapshot was restored a second time, over what was written since")
		}
		s.awaitLog(t, soon, "is not restored again")
		s.run(t, "systemctl unset-environment KELP_RESTORE")
		// By the name that users of others know.
		s.run(t, hosts.KelpPath+" etcd-snapshot prune && "+hosts.KelpPath+" etcd-snapshot ls | grep -F "+filepath.Base(file))
		s.refuses(t, "choose another name", "etcd-snapshot", "save", "--name=kelp")
	})
	t.Run("on a new server", func(t *testing.T) { restoreElsewhere(t, s, file) })
}

// awaitScheduled waits for a scheduled snapshot and the next one, which replaces it,
// and looks at their objects; the one that was asked for stays.
func (s *server) awaitScheduled(t *testing.T, asked string) {
	t.Helper()
	var first string
	hosts.Eventually(t, 4*time.Minute, "scheduled snapshots come and go", func(ctx context.Context) error {
		list, err := s.snapshots(ctx)
		if err != nil {
			return err
		}
		var scheduled []string
		stays := false
		for _, e := range list {
			if e.Problem != "" {
				return fmt.Errorf("%s: %s", e.Name, e.Problem)
			}
			if e.Reason == "schedule" {
				scheduled = append(scheduled, strings.TrimSuffix(e.Name, ".snapshot.zst"))
			}
			stays = stays || e.Location == asked
		}
		if !stays {
			t.Fatalf("the snapshot that was asked for is gone: %+v", list)
		}
		if len(scheduled) != 1 {
			return fmt.Errorf("there are %v", scheduled)
		}
		if first == "" {
			first = scheduled[0]
		}
		if first == scheduled[0] {
			return errors.New("there is no second one yet")
		}
		objects, err := s.Kubectl(ctx, "get", "snapshots", "-o", "jsonpath={range .items[*]}{.metadata.name}={.status.state} {end}")
		if err == nil && (!strings.Contains(objects, scheduled[0]+"=Good") || strings.Contains(objects, first)) {
			return fmt.Errorf("the objects are %s", objects)
		}
		return err
	})
	if age := s.run(t, "kelp kubectl get --raw /v1-kelp/metrics | grep '^kelp_snapshot_newest_age_seconds'"); strings.Contains(age, "-1") {
		t.Errorf("metrics: %s", age)
	}
}

// awaitReason waits for the object of a snapshot that was made for a reason.
func (s *server) awaitReason(t *testing.T, reason string) {
	t.Helper()
	hosts.Eventually(t, soon, "a snapshot "+reason+" is shown", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "snapshots")
		if err == nil && !strings.Contains(out, reason) {
			return errors.New(out)
		}
		return err
	})
}

// brokenSnapshots tries to restore files that are not whole, and one from a newer
// version. Nothing is changed.
func brokenSnapshots(t *testing.T, s *server, file string) {
	s.stopKelp(t)
	before := s.run(t, "find "+dataDir+"/server -type f ! -path '*/tls/*' | sort | xargs sha256sum")
	broken := "/root/broken.snapshot.zst"
	for _, c := range []struct{ text, script string }{
		{"is empty", ": >" + broken},
		{"was cut short", "head -c 9000 " + file + " >" + broken},
		{"was cut short", "zstd -dcq " + file + " | head -c 20480 | zstd -qf -o " + broken},
		{"is damaged", "zstd -dcq " + file + " | sed s/kube-system/kube-sYstem/ | zstd -qf -o " + broken},
		{"newer than what this", "mkdir -p /root/n; zstd -dcq " + file + " | tar -xC /root/n; sed -i 's/\"format\":1/\"format\":9/' /root/n/metadata.json; tar -cC /root/n metadata.json keys.sealed pages/00000001 summary.json | zstd -qf -o " + broken},
		{"is no snapshot", "tar -cC /etc hostname | zstd -qf -o " + broken},
		{"no such file", "rm -f " + broken},
		{"newer than this kelp", "mkdir -p /root/m; zstd -dcq " + file + " | tar -xC /root/m; " + forge},
	} {
		s.run(t, c.script)
		s.refuses(t, c.text, "snapshot", "restore", broken)
	}
	if after := s.run(t, "find "+dataDir+"/server -type f ! -path '*/tls/*' | sort | xargs sha256sum"); after != before {
		t.Errorf("files were changed:\n%s\nbefore:\n%s", after, before)
	}
	s.run(t, "head -c 9000 "+file+" >"+snapshotsDir+"/cut.snapshot.zst")
	s.start(t)
	if !s.hasConfigMap(t, "kept") || !s.hasConfigMap(t, "later") {
		t.Error("data was lost")
	}
	s.awaitDiagnosis(t, podUp, "warning", "snapshots: the snapshot ", " is of no use", "its description is missing: kelp snapshot verify makes it anew", "on snap: kelp snapshot delete cut.snapshot.zst")
	s.run(t, "kelp snapshot delete cut.snapshot.zst")
	s.refuses(t, "kelp is running", "snapshot", "restore", file)
}

// forge makes a sound snapshot of a newer Kubernetes.
const forge = `
cd /root/m
sed -i 's/"kubernetes":"[^"]*"/"kubernetes":"v1.99.0"/' metadata.json
revision=$(sed 's/.*"revision":\([0-9]*\).*/\1/' summary.json)
sum=$( (for n in metadata.json keys.sealed pages/*; do printf %s "$n"; cat "$n"; done; printf %s "$revision") | sha256sum | cut -d' ' -f1)
sed -i "s/\"sha256\":\"[^\"]*\"/\"sha256\":\"$sum\"/" summary.json
tar -cf /root/broken.snapshot.zst metadata.json keys.sealed pages/* summary.json`

// restoreElsewhere has the snapshot restored on a machine that has nothing but the
// file and the server token, into etcd.
func restoreElsewhere(t *testing.T, s *server, file string) {
	content := s.run(t, "base64 -w0 "+file)
	if _, err := base64.StdEncoding.DecodeString(content); err != nil {
		t.Fatal(err)
	}
	other := ownServer(t, specNamed("snap-new"), "datastore: {kind: etcd}\n")
	if _, err := other.RunInput(t.Context(), content, "sh", "-c", "base64 -d >/root/s.snapshot.zst"); err != nil {
		t.Fatal(err)
	}
	other.refuses(t, "give the cluster's server token", "snapshot", "restore", "/root/s.snapshot.zst")
	then := s.serverToken(t)
	s.run(t, hosts.KelpPath+" token rotate --role=server")
	for _, wrong := range []string{"a-secret-that-is-wrong", s.serverToken(t)} {
		other.write(t, "/root/token", wrong+"\n")
		other.refuses(t, "cannot be opened with this token's secret: give the server token that the cluster had when it was made", "snapshot", "restore", "--token-file=/root/token", "/root/s.snapshot.zst")
	}
	other.refuses(t, "network.clusterCIDRs 10.42.0.0/16", "snapshot", "restore", "--token-file=/root/token", "--cluster-cidr=10.99.0.0/16", "/root/s.snapshot.zst")
	if left := other.run(t, "ls "+dataDir+"/server 2>/dev/null || true"); left != "" {
		t.Errorf("refusals have left %q", left)
	}
	other.write(t, "/root/token", then+"\n")
	other.run(t, "mv /root/s.snapshot.zst /root/cluster.snapshot.zst")
	other.follow(t, "backup.md", "new", map[string]string{"OLD_NODE": "snap"})
	if !other.hasConfigMap(t, "kept") || other.hasConfigMap(t, "later") {
		t.Error("the datastore is not what the snapshot holds")
	}
	if s.run(t, "sha256sum <"+dataDir+"/server/tls/server-ca.crt") != other.run(t, "sha256sum <"+dataDir+"/server/tls/server-ca.crt") {
		t.Error("the new server has another authority than the cluster's")
	}
	other.readsHidden(t)
	if is := other.serverToken(t); is != then {
		t.Error("the token of the new server is not the one that the snapshot was opened with")
	}
	// The old machine is gone; its pods go to the new one.
	other.awaitDeployments(t, "shop", 1, 2*podUp)
}
