//go:build e2e

package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kelp-project/kelp/tests/hosts"
)

// whatIsThere lists what kelp may leave on a host: mounts, interfaces,
// nftables and iptables, cgroups and processes.
const whatIsThere = `
cut -d' ' -f2,3 /proc/self/mounts | sort
ip -o link | awk '{sub(/@.*/, "", $2); print $2}' | sort
nft list ruleset | grep -E '^table' | sort
find /sys/fs/cgroup -type d \( -name 'kube*' -o -name 'cri-*' \) -prune | sort
ps -eo comm= | grep -vE '^(ps|sort|sh|grep|awk|cut|find|systemd.*|\(sd-.*|dbus-daemon|kworker.*)$' | sort
ip rule | sort
ip netns | sort
`

// strangers are another container runtime's things, which look like kelp's, and a
// kelp's in a container.
const strangers = `
mkdir -p /opt/nested
cp /bin/sh /opt/nested/containerd-shim-runc-v2
systemd-run -q --unit=nested unshare --pid --fork /opt/nested/containerd-shim-runc-v2 -c 'sleep 1000000; exit' /run/kelp/containerd/containerd.sock
mkdir -p /run/containerd/io.containerd.runtime.v2.task/moby/other/rootfs
mount -t tmpfs other /run/containerd/io.containerd.runtime.v2.task/moby/other/rootfs
cp /bin/sleep /usr/local/bin/containerd-shim-runc-v2
systemd-run -q --unit=other /usr/local/bin/containerd-shim-runc-v2 1000000
ip link add other0 type veth peer name other1
ip link add docker0 type bridge
nft add table ip other
nft add chain ip other KUBE-LOOKALIKE
ip netns add cni-other
`

// kelp-killall.sh stops the pods and takes away all that kelp made, and
// touches nothing of anybody else's. The pods are back after the next start, also when
// containerd's databases were damaged meanwhile.
func TestKillAllCleansUpAfterKelpAlone(t *testing.T) {
	s := ownServer(t, specNamed("killall"), "")
	script := packaged(t, "kelp-killall.sh")
	s.write(t, "/usr/local/bin/kelp-killall.sh", script)
	s.run(t, "chmod +x /usr/local/bin/kelp-killall.sh")
	s.run(t, strangers)
	before := s.run(t, whatIsThere)

	s.start(t)
	s.apply(t, fmt.Sprintf(appManifest, "shop", "LoadBalancer", 8088))
	s.awaitDeployments(t, "shop", 1, podUp)
	if s.run(t, whatIsThere) == before {
		t.Fatal("a server with pods looks like none: this test looks at nothing")
	}
	s.run(t, "kelp-killall.sh")
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(s.run(t, whatIsThere), "\n")); diff != "" {
		t.Errorf("before kelp and after kelp-killall.sh (-before +after):\n%s", diff)
	}

	// The data is still there. What containerd knows is not, where a disk lied to it.
	s.run(t, `cd /var/lib/kelp/agent/containerd
for db in io.containerd.metadata.v1.bolt/meta.db io.containerd.snapshotter.v1.*/metadata.db; do
	dd if=/dev/zero of=$db bs=4096 seek=2 count=100 conv=notrunc status=none
done`)
	s.start(t)
	s.awaitDeployments(t, "shop", 1, podUp)
	if out := s.run(t, hosts.KelpPath+" check || true"); !strings.Contains(out, "containerd-damaged") {
		t.Errorf("kelp check does not tell of what was set aside: %s", out)
	}
	if log := s.run(t, "journalctl --unit=kelp --no-pager --output=cat"); !strings.Contains(log, "containerd begins anew") {
		t.Errorf("nobody was told that containerd's data was set aside:\n%s", log)
	}
}

// packaged reads a file of the checkout that is installed with kelp.
func packaged(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"../packaging", "../scripts"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			return string(text)
		}
	}
	t.Fatalf("%s is neither in packaging/ nor in scripts/", name)
	return ""
}
