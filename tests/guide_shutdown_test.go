//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// lingering is a pod that notes when it is told to end, and when it has, some seconds
// later.
const lingering = `apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: kube-system, labels: {app: %[1]s}}
spec:
  priorityClassName: %[2]s
  terminationGracePeriodSeconds: 15
  volumes: [{name: out, hostPath: {path: /var/log/guide, type: DirectoryOrCreate}}]
  containers:
  - name: c
    image: kelp.local/busybox:v1.35.0
    volumeMounts: [{name: out, mountPath: /out}]
    command: [sh, -c, "trap 'date +%%s >/out/%[1]s.told; sleep %[3]d; date +%%s >/out/%[1]s.done; exit 0' TERM; while true; do sleep 1 & wait $!; done"]
`

// noted is when that was, in seconds.
func (s *server) noted(t *testing.T, name string) int {
	t.Helper()
	at, err := strconv.Atoi(s.run(t, "cat /var/log/guide/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// guideShutdown reboots the host: pods end in peace, those that are critical after the
// others, and while kelp still runs.
func (s *server) guideShutdown(t *testing.T) {
	s.apply(t, fmt.Sprintf(lingering, "plain", `""`, 3)+"---\n"+fmt.Sprintf(lingering, "critical", "system-node-critical", 3))
	s.awaitPodNamed(t, "kube-system", "plain", podUp)
	s.awaitPodNamed(t, "kube-system", "critical", podUp)
	if held := s.run(t, "systemd-inhibit --list --no-legend"); !strings.Contains(held, "kubelet") {
		t.Fatalf("the kubelet does not hold shutdowns back:\n%s", held)
	}
	if limit := s.run(t, "busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager InhibitDelayMaxUSec"); limit != "t 30000000" {
		t.Errorf("logind waits for %s", limit)
	}
	if err := s.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	noted := func(name string) int { return s.noted(t, name) }
	plain, ended, critical := noted("plain.told"), noted("plain.done"), noted("critical.told")
	if ended < plain+3 || critical < ended || noted("critical.done") < critical+3 {
		t.Errorf("the plain pod was told at %d and ended at %d, the critical one was told at %d", plain, ended, critical)
	}
	stopped := s.run(t, "journalctl --boot=-1 --unit=kelp --output=json --no-pager | grep '\"JOB_TYPE\":\"stop\"' | sed -E 's/.*\"__REALTIME_TIMESTAMP\":\"([0-9]{10}).*/\\1/' | head -1")
	if at, err := strconv.Atoi(stopped); err != nil || at < noted("critical.done") {
		t.Errorf("kelp was stopped at %s, before its pods (%v)", stopped, err)
	}
	s.start(t)
}

// byPriority gives pods of each range of priorities a time of its own to end in.
const byPriority = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
shutdownGracePeriodByPodPriority:
- {priority: 0, shutdownGracePeriodSeconds: 10}
- {priority: 1000, shutdownGracePeriodSeconds: 10}
- {priority: 2000000000, shutdownGracePeriodSeconds: 10}
`

// ranks are pods that a reboot ends one after the other, by their priority.
var ranks = []string{"plain", "important", "critical"}

// startRanks has such pods run, on a host whose kubelet has byPriority.
func (s *server) startRanks(t *testing.T) {
	t.Helper()
	hosts.Eventually(t, soon, "the kubelet holds shutdowns back", func(ctx context.Context) error {
		out, err := s.Run(ctx, "systemd-inhibit", "--list", "--no-legend")
		if err == nil && !strings.Contains(out, "kubelet") {
			err = errors.New(out)
		}
		return err
	})
	s.kubectl(t, "create", "priorityclass", "important", "--value=1000")
	for i, class := range []string{`""`, "important", "system-node-critical"} {
		s.apply(t, fmt.Sprintf(lingering, ranks[i], class, 1))
	}
	for _, name := range ranks {
		s.awaitPodNamed(t, "kube-system", name, podUp)
	}
}

// endedByRank looks at the order in which a reboot has ended them.
func (s *server) endedByRank(t *testing.T) {
	t.Helper()
	last := 0
	for _, name := range ranks {
		told, done := s.noted(t, name+".told"), s.noted(t, name+".done")
		if told < last || done < told+1 {
			t.Errorf("%s was told at %d and ended at %d, the one before it ended at %d", name, told, done, last)
		}
		last = done
	}
}

// guideContainerd looks at the runtime after the second start, with the whole of the
// guide's configuration.
func (s *server) guideContainerd(t *testing.T) {
	info := s.run(t, "kelp crictl info")
	for _, want := range []string{`"SystemdCgroup": true`, `"defaultRuntimeName": "runc"`} {
		if !strings.Contains(info, want) {
			t.Errorf("containerd's configuration has no %s:\n%s", want, info)
		}
	}
	s.apply(t, `{apiVersion: v1, kind: Pod, metadata: {name: paused, labels: {app: paused}}, spec: {containers: [{name: c, image: "kelp.local/busybox:v1.35.0", command: [sleep, "1000"]}]}}`)
	pod := s.awaitPod(t, "default", "app=paused", podUp)
	image := s.run(t, "kelp ctr -n k8s.io containers list | grep "+guidePause+" | wc -l")
	if image == "0" {
		t.Errorf("no sandbox is of %s", guidePause)
	}
	if cgroup := s.run(t, "cat /proc/$(kelp crictl inspect --output=go-template --template='{{.info.pid}}' $(kelp crictl ps -q --name=c --label io.kubernetes.pod.name="+pod.Name+"))/cgroup"); !strings.Contains(cgroup, "cri-containerd-") || !strings.Contains(cgroup, ".scope") {
		t.Errorf("its cgroup is not systemd's:\n%s", cgroup)
	}
}
