package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/cgroups/v3"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/log"
	"sigs.k8s.io/knftables"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/node/containerd"
)

// Host is what was seen of the machine.
type Host struct {
	// SystemdCgroup says that cgroups are asked from systemd.
	SystemdCgroup bool
	// OOMScoreAdj is the process's own score where it may not lower one, for
	// want of CAP_SYS_RESOURCE.
	OOMScoreAdj *int32
	// MaxOpenFiles is the limit of open files where it may not be raised.
	MaxOpenFiles int64
	// Runtimes are the OCI runtimes beside runc.
	Runtimes []containerd.Runtime
	// NFTables says that packet rules are made with nft.
	NFTables bool
	// ConntrackLimits and ConntrackTimeouts say what kube-proxy may set.
	ConntrackLimits   bool
	ConntrackTimeouts bool
	// ResolvConf is a file with resolvers that make sense in a pod, "" if
	// there is none.
	ResolvConf string
}

// ErrNoPacketRules is returned where Services cannot work.
var ErrNoPacketRules = errors.New("neither nft nor iptables works on this host: install nftables")

// Observe looks at the machine, after loading the kernel modules that the
// node part needs, where there are modules to load.
func Observe(ctx context.Context, cfg config.Config) (Host, error) {
	loadModules(ctx, cfg.Network.Backend)
	h := Host{
		SystemdCgroup:     systemdCgroup(cgroups.Mode(), exists("/run/systemd/system")),
		Runtimes:          containerd.Runtimes(exec.LookPath),
		ConntrackLimits:   writable("/proc/sys/net/netfilter/nf_conntrack_max") && writable("/sys/module/nf_conntrack/parameters/hashsize"),
		ConntrackTimeouts: writable("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established"),
		ResolvConf:        resolvConf(os.ReadFile),
	}
	if !capable("CAP_SYS_RESOURCE") {
		h.OOMScoreAdj, h.MaxOpenFiles = oomScoreAdj("/proc/self/oom_score_adj"), openFiles()
	}
	if _, err := knftables.New(knftables.IPv4Family, "kelp-probe"); err == nil {
		h.NFTables = true
	} else if _, missing := exec.LookPath("iptables"); missing != nil {
		return h, fmt.Errorf("%w (nft: %w)", ErrNoPacketRules, err)
	}
	return h, nil
}

// modules are loaded where the kernel does not have them built in. That one
// is missing is found out, and told, by whom it is missing to.
func modules(b config.NetworkBackend) []string {
	wanted := []string{"overlay", "br_netfilter", "nf_conntrack"}
	switch b {
	case config.BackendVXLAN:
		wanted = append(wanted, "vxlan")
	case config.BackendWireGuard:
		wanted = append(wanted, "wireguard")
	}
	return wanted
}

func loadModules(ctx context.Context, b config.NetworkBackend) {
	modprobe, err := exec.LookPath("modprobe")
	if err != nil {
		return
	}
	args := append([]string{"--all", "--quiet"}, modules(b)...)
	if out, err := exec.CommandContext(ctx, modprobe, args...).CombinedOutput(); err != nil {
		log.G(ctx).WithError(err).WithField("output", string(bytes.TrimSpace(out))).Debug("not all kernel modules were loaded")
	}
}

// systemdCgroup decides who makes cgroups. On cgroup v2 there is one tree,
// and systemd, if it is PID 1, owns it; on v1 both can live side by side, and
// to do it ourselves needs nobody's help.
func systemdCgroup(mode cgroups.CGMode, systemd bool) bool {
	return systemd && mode == cgroups.Unified
}

// The files in which a host's resolvers are.
const (
	hostResolvConf    = "/etc/resolv.conf"
	systemdResolvConf = "/run/systemd/resolve/resolv.conf"
)

// resolvConf chooses the file that names resolvers which a pod can reach: one
// on loopback is another one there, such as systemd-resolved's stub.
func resolvConf(read func(path string) ([]byte, error)) string {
	for _, path := range []string{hostResolvConf, systemdResolvConf} {
		if text, err := read(path); err == nil && usable(text) {
			return path
		}
	}
	return ""
}

func usable(text []byte) bool {
	found := false
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		address, err := netip.ParseAddr(fields[1])
		if err != nil || address.IsLoopback() {
			return false
		}
		found = true
	}
	return found
}

func capable(name string) bool {
	have, err := cap.Current()
	return err == nil && slices.Contains(have, name)
}

// oomScoreAdj reads a process's score; 0, which is everybody's, if it cannot.
func oomScoreAdj(path string) *int32 {
	score := new(int32)
	if text, err := os.ReadFile(path); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 32); err == nil {
			*score = int32(n)
		}
	}
	return score
}

// openFiles is the hard limit of open files, 0 if it is not known.
func openFiles() int64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int64(min(limit.Max, math.MaxInt64))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// writable says whether a setting can be changed; opening it changes nothing.
func writable(path string) bool {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	return f.Close() == nil
}
