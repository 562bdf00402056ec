package hosts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// fresh are directories that a host does not share with the machine: what
// the machine's own kelp, containers and enabled services left there would
// leak into the test.
var fresh = []string{
	"etc/systemd/system", "etc/kelp", "etc/cni", "opt/cni", "var/lib/cni",
	"var/log/journal", "var/log/pods", "var/log/containers", "usr/local/bin",
}

// onDisk are directories of the real disk: overlay on overlay is refused.
var onDisk = map[string]string{"data": "/var/lib/kelp", "kubelet": "/var/lib/kubelet"}

// prepare runs early in each boot: it opens the cgroup controllers, which
// nspawn mounts read-only, and brings up the network.
const prepare = `#!/bin/sh
set -eu
for dir in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$dir" || true; done
ip link set lo up
ip link set host0 up
ip addr add %[1]s/24 dev host0
if [ -n "%[2]s" ]; then ip addr add "%[2]s/64" dev host0 nodad; else sysctl -qw net.ipv6.conf.host0.disable_ipv6=1; fi
if [ -n "%[3]s" ]; then
	ip route add default via %[3]s
	if [ -n "%[2]s" ]; then ip route add default via fd88::1; fi
fi
`

const prepareUnit = `[Unit]
Description=Prepare the test host
DefaultDependencies=no
After=local-fs-pre.target
Before=sysinit.target network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/test-host
`

// prepareDisk makes the host's layer over the machine's root.
func (h *Host) prepareDisk() error {
	for _, dir := range []string{"upper", "work", "root", "data", "kubelet"} {
		if err := os.MkdirAll(filepath.Join(h.dir, dir), 0o755); err != nil {
			return fmt.Errorf("make the host's disk: %w", err)
		}
	}
	for _, dir := range fresh {
		dir = filepath.Join(h.dir, "upper", dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the host's disk: %w", err)
		}
		if err := unix.Setxattr(dir, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return fmt.Errorf("hide the machine's %s: %w", dir, err)
		}
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		return fmt.Errorf("make a machine id: %w", err)
	}
	gateway := Gateway
	if h.NoRoute {
		gateway = ""
	}
	for name, text := range map[string]string{
		"etc/machine-id":                       strings.ReplaceAll(string(id), "-", ""),
		"etc/hostname":                         h.Name + "\n",
		"etc/hosts":                            "127.0.0.1 localhost\n::1 localhost\n" + h.Address + " " + h.Name + "\n",
		"etc/resolv.conf":                      "# offline: no name servers\n",
		"etc/test-host":                        fmt.Sprintf(prepare, h.Address, h.Address6, gateway),
		"etc/systemd/system/test-host.service": prepareUnit,
		"etc/systemd/journald.conf.d/test-host.conf": "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n",
	} {
		path := filepath.Join(h.dir, "upper", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make the host's disk: %w", err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("make the host's disk: %w", err)
		}
	}
	wants := filepath.Join(h.dir, "upper/etc/systemd/system/sysinit.target.requires")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return fmt.Errorf("enable the host's preparation: %w", err)
	}
	if err := os.Symlink("../test-host.service", filepath.Join(wants, "test-host.service")); err != nil {
		return fmt.Errorf("enable the host's preparation: %w", err)
	}
	return nil
}

// startNspawn boots the host. The overlay is mounted in a mount namespace of
// its own, so that it goes with the last process. The caller holds h.mu or is
// alone.
func (h *Host) startNspawn(log *os.File) error {
	version := "0"
	if unified() {
		version = "1"
	}
	script := joinCgroups + `exec nsenter --net=/run/netns/"$LAB" unshare -m sh -euc '
mount -t overlay overlay -o "lowerdir=/,upperdir=$DISK/upper,workdir=$DISK/work" "$DISK/root"
exec systemd-nspawn "$@"' sh "$@"`
	args := []string{
		"-euc", script, "sh", "--boot", "--quiet", "--directory=" + filepath.Join(h.dir, "root"), "--machine=" + h.Name,
		"--capability=all", "--system-call-filter=@known", "--register=no", "--keep-unit", "--link-journal=no",
		"--network-bridge=" + bridge, "--bind=/dev/kmsg", "--console=pipe", "--timezone=off", "--resolv-conf=off",
	}
	for dir, path := range onDisk {
		args = append(args, "--bind="+filepath.Join(h.dir, dir)+":"+path)
	}
	for path, machine := range h.Bind {
		args = append(args, "--bind-ro="+machine+":"+path)
	}
	cmd := exec.Command("sh", args...)
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LAB=" + h.lab.Name, "DISK=" + h.dir, "CGROUPS=" + strings.Join(h.cgroups, " "), "MEMBER=",
		"SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=" + version,
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := h.lab.parent.Start(cmd); err != nil {
		return fmt.Errorf("start systemd-nspawn: %w", err)
	}
	h.nspawn = cmd
	h.boots++
	return nil
}
