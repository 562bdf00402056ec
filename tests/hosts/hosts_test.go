//go:build e2e

package hosts

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openLab(t *testing.T) *Lab {
	t.Helper()
	l, err := Open(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		left := leftovers(t, l.Name, l.Dir)
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return l
}

// leftovers lists what a lab should have taken with it.
func leftovers(t *testing.T, name, dir string) []string {
	t.Helper()
	var left []string
	for _, pattern := range []string{dir, "/run/netns/" + name, "/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, found...)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		if strings.Contains(line, dir) || strings.Contains(line, name) {
			left = append(left, line)
		}
	}
	out, err := exec.Command("pgrep", "-af", dir).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return append(left, strings.Fields(string(out))...)
}

func boot(t *testing.T, l *Lab, spec Spec) *Host {
	t.Helper()
	started := time.Now()
	h, err := l.Boot(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s booted in %s", spec.Name, time.Since(started).Round(time.Millisecond))
	return h
}

func mustRun(t *testing.T, h *Host, script string) string {
	t.Helper()
	out, err := h.Shell(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func TestTwoHostsBootReachEachOtherAndLeaveNothing(t *testing.T) {
	l := openLab(t)
	a, b := boot(t, l, Spec{Name: "a"}), boot(t, l, Spec{Name: "b"})
	for _, h := range []*Host{a, b} {
		if got := mustRun(t, h, "systemctl is-system-running"); got != "running" {
			t.Errorf("%s is %s: %s", h.Name, got, mustRun(t, h, "systemctl --failed --no-legend"))
		}
		if got := mustRun(t, h, "hostname"); got != h.Name {
			t.Errorf("host name of %s is %q", h.Name, got)
		}
		mustRun(t, h, "for c in /sys/fs/cgroup/*/cgroup.procs; do mkdir ${c%/*}/probe; rmdir ${c%/*}/probe; done")
		mustRun(t, h, "nft add table inet probe; nft list tables | grep probe; nft delete table inet probe")
		mustRun(t, h, "! ls /work/nonexistent 2>/dev/null; test -z \"$(ls -A /var/lib/kelp)\"")
	}
	mustRun(t, a, "busybox ping -c1 -W2 "+b.Address+"; busybox ping -6 -c1 -W2 "+b.Address6)
	if err := l.Cut(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	mustRun(t, a, "! busybox ping -c1 -W1 "+b.Address)
	if err := l.Heal(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 10*time.Second, "the host is back on the network", func(ctx context.Context) error {
		_, err := a.Run(ctx, "busybox", "ping", "-c1", "-W1", b.Address)
		return err
	})
	mustRun(t, a, "! busybox ping -c1 -W1 192.0.2.2")
	if own, other := mustRun(t, a, "systemd-run --wait --pipe -q cat /proc/self/cgroup"), "/"+l.Name; strings.Contains(own, other) {
		t.Errorf("the host sees the machine's cgroups: %s", own)
	}
}

func TestHostKeepsItsDiskAcrossAReboot(t *testing.T) {
	l := openLab(t)
	h := boot(t, l, Spec{Name: "a"})
	mustRun(t, h, "echo kept >/etc/probe; echo kept >/var/lib/kelp/probe; echo lost >/run/probe")
	before := mustRun(t, h, "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1")
	if err := h.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := mustRun(t, h, "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1"); after == before {
		t.Errorf("PID 1 is the same after the reboot: %s", after)
	}
	mustRun(t, h, "grep kept /etc/probe /var/lib/kelp/probe; test ! -e /run/probe")
}

func TestALabOfAKilledRunIsSwept(t *testing.T) {
	l := openLab(t)
	h := boot(t, l, Spec{Name: "a"})
	mustRun(t, h, "systemd-run -q sleep 1000")
	// As after a run that was killed: nobody owns the lab any more.
	if err := os.WriteFile(filepath.Join(l.Dir, "owner"), []byte("1 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := sweep(t.Context(), filepath.Dir(l.Dir)); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, l.Name, l.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
