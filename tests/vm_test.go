//go:build vm

package tests

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
	"github.com/kelp-project/kelp/tests/vm"
)

// vmLimit bounds the whole run: emulation is about ten times slower.
const vmLimit = 20 * time.Minute

// vmPods are one that stays within its memory limit and one that does not.
const vmPods = `
apiVersion: v1
kind: Pod
metadata: {name: fits}
spec:
  containers:
  - {name: web, image: "example.test/web:1", imagePullPolicy: Never, resources: {limits: {memory: 64Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  restartPolicy: Never
  containers:
  - {name: web, image: "example.test/web:1", imagePullPolicy: Never, args: [eat, "200"], resources: {limits: {memory: 64Mi}}}
`

// vmScript runs at each boot of the machine and says what it finds on the
// console: lines that begin with @@.
const vmScript = `#!/bin/bash
exec >/dev/ttyS0 2>&1
say() { echo "@@ $*"; }
fail() {
	say "failed: $*"
	kelp status
	kelp kubectl get pods -A -o wide
	kelp kubectl describe pods
	journalctl -u kelp -o cat --no-pager -n 100
	systemctl poweroff -ff
}
until_is() { # WHAT WANT COMMAND...
	for ((i = 0; i < 200; i++)); do
		got=$("${@:3}" 2>&1) && [ "$got" = "$2" ] && return
		sleep 1
	done
	fail "$1 is $got, not $2"
}
node_ready() { kelp kubectl get nodes -o 'jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}'; }
pod() { kelp kubectl get pod "$1" -o "jsonpath={$2}"; }
boot=$(cat /root/boots 2>/dev/null || echo 0)
echo $((boot + 1)) >/root/boots
say "boot $boot"
say "cgroup $(stat -fc %T /sys/fs/cgroup)"
modprobe -a overlay br_netfilter nf_tables vxlan veth virtio_net
ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 && ip route add default via 10.0.2.2
systemctl start kelp || fail "kelp did not start"
say "ready $(cut -d' ' -f1 /proc/uptime)"
if [ "$boot" = 0 ]; then
	# The namespace's service account may come a moment after the node here.
	until_is "the service account" serviceaccount/default kelp kubectl get serviceaccount default -o name
	kelp kubectl apply -f /root/pods.yaml || fail "apply"
	until_is "the pod within its limit" true pod fits .status.containerStatuses[0].ready
	say "limits $(find /sys/fs/cgroup -path '*kubepods*' -name memory.max -exec grep -lx 67108864 {} + | wc -l)"
	# Its reason is OOMKilled, or Error where the news of its end came before
	# those of the lack of memory, as upstream's shim has it on a slow machine.
	until_is "the exit status of the greedy pod" 137 pod greedy .status.containerStatuses[0].state.terminated.exitCode
	say "greedy killed, $(pod greedy .status.containerStatuses[0].state.terminated.reason)"
	say "controllers $(cat /sys/fs/cgroup/kubepods*/cgroup.controllers)"
	# The power goes, a moment after a write was acknowledged.
	sync /root/boots /root
	kelp kubectl create configmap durable || fail "create"
	echo b >/proc/sysrq-trigger
else
	until_is "what was acknowledged before the power went" configmap/durable kelp kubectl get configmap durable -o name
	until_is "the pod after the reboot" true pod fits .status.containerStatuses[0].ready
	until_is "the restarts of the pod" 1 pod fits .status.containerStatuses[0].restartCount
	say "back"
	kelp status --wait --timeout=10m >/dev/null || fail "kelp status --wait"
	process=$(systemctl show -p MainPID --value kelp)
	date -s "+1 hour" >/dev/null
	kelp kubectl create configmap after-forward || fail "a write after the clock went forward"
	until_is "the node after the clock went forward" True node_ready
	[ "$(systemctl show -p MainPID --value kelp)" = "$process" ] || fail "kelp has another process than before the clock went forward"
	say "went forward"
	# All certificates end while the machine is off.
	systemctl stop kelp
	date -s "+400 days" >/dev/null
	kelp certificate check && fail "certificates are in order 400 days later"
	systemctl start kelp || fail "kelp did not start with certificates that have ended"
	until_is "the certificates" "every certificate is in order" kelp certificate check
	until_is "the pod 400 days later" true pod fits .status.containerStatuses[0].ready
	# The API server is let in by the kubelet.
	until_is "the output of logs 400 days later" "" bash -c 'kelp kubectl logs fits >/dev/null 2>&1'
	say "renewed"
	# Tokens and certificates are of a time that is yet to come: kelp starts anew.
	date -s "-1 hour" >/dev/null
	until_is "what kelp says of the clock" 1 bash -c 'journalctl -u kelp -o cat --no-pager | grep -c "the clock went back"'
	# Whoever comes while it starts is turned away, and comes again.
	until_is "a write after the clock went back" deployment.apps/after-back bash -c 'kelp kubectl create deployment after-back --image=example.test/web:1 -o name 2>/dev/null || kelp kubectl get deployment after-back -o name'
	until_is "the controllers after the clock went back" 1 kelp kubectl get deployment after-back -o 'jsonpath={.status.replicas}'
	until_is "the node after the clock went back" True node_ready
	until_is "the restarts of the pod after the clock jumped" 1 pod fits .status.containerStatuses[0].restartCount
	say "went back"
	systemctl poweroff
fi
`

const vmUnit = `[Unit]
Description=the smoke test
[Service]
Type=oneshot
ExecStart=/root/smoke
TimeoutStartSec=infinity
`

// On a machine with another kernel and cgroup version 2: install, Ready, a
// memory limit that holds. The power goes, and the pod is back, with all that was
// acknowledged; the clock goes forward; all certificates end while kelp is stopped;
// the clock goes back.
func TestVirtualMachineWithCgroupV2(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), vmLimit)
	defer cancel()
	binary, err := hosts.Binary()
	if err != nil {
		t.Fatal(err)
	}
	image, err := hosts.WebImage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "web.tar")
	if err := hosts.WriteArchive(archive, "example.test/web:1", image); err != nil {
		t.Fatal(err)
	}
	cache, err := filepath.Abs("../.build/vm")
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	m, err := vm.Start(ctx, vm.Spec{
		Dir:    cache,
		Memory: 3072,
		Files:  map[string]string{hosts.KelpPath: binary, "/var/lib/kelp/images/web.tar": archive},
		Texts: map[string]string{
			"/etc/systemd/system/kelp.service":  strings.NewReplacer("TimeoutStartSec=5min", "TimeoutStartSec=10min", "WatchdogSec=2min", "WatchdogSec=20min", "Restart=no", "Restart=on-failure").Replace(hosts.Unit("server")),
			"/etc/systemd/system/smoke.service": vmUnit,
			"/root/smoke":                       vmScript,
			"/root/pods.yaml":                   vmPods,
		},
		Enable: []string{"kelp.service", "smoke.service"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})

	var console, steps []string
	for line := range m.Lines {
		console = append(console, line)
		if _, step, ok := strings.Cut(line, "@@ "); ok {
			t.Logf("%7s %s", time.Since(started).Round(100*time.Millisecond), step)
			steps = append(steps, step)
		}
	}
	for _, want := range []string{"boot 0", "cgroup cgroup2fs", "ready ", "limits ", "greedy killed", "boot 1", "back", "went forward", "renewed", "went back"} {
		if !containsStep(steps, want) {
			t.Errorf("it never said %q; the console:\n%s", want, strings.Join(console, "\n"))
			break
		}
	}
	if containsStep(steps, "limits 0") {
		t.Errorf("no cgroup of the pods has the limit")
	}
}

func containsStep(steps []string, prefix string) bool {
	for _, s := range steps {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}
