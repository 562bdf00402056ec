package preflight

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
)

func TestCheckKernel(t *testing.T) {
	t.Parallel()
	unsupported := errors.New("operation not supported")
	native := func(c *config.Config) { c.Containerd.Snapshotter = config.SnapshotterNative }
	for name, c := range map[string]struct {
		kernel Kernel
		change func(*config.Config)
		errors string
		warns  string
	}{
		"all there":                    {kernel: Kernel{Overlay: true, Bridge: true, Links: map[string]error{"veth": nil, "bridge": nil, "vxlan": nil}}},
		"no overlay":                   {kernel: Kernel{Bridge: true}, errors: "the kernel has no overlay file system: load the module overlay, or use --snapshotter=native, which takes more space"},
		"no overlay, and none is used": {kernel: Kernel{Bridge: true}, change: native},
		"no namespaces":                {kernel: Kernel{Overlay: true, Bridge: true, Namespace: unsupported}, errors: "network namespaces cannot be made: operation not supported: run kelp with all capabilities, not in a confined container"},
		"no vxlan":                     {kernel: Kernel{Overlay: true, Bridge: true, Links: map[string]error{"veth": nil, "vxlan": unsupported}}, errors: "vxlan links, for the network between nodes, cannot be made: operation not supported: load the module vxlan, or choose another --network"},
		"no veth":                      {kernel: Kernel{Overlay: true, Bridge: true, Links: map[string]error{"veth": unsupported}}, errors: "veth links, for pods, cannot be made: operation not supported: load the module veth"},
		"no filter on bridges":         {kernel: Kernel{Overlay: true}, warns: "packets between pods of this node do not pass the packet filter: a pod may not reach itself, or a neighbour, through a Service; load the module br_netfilter"},
	} {
		cfg := config.Default()
		if c.change != nil {
			c.change(&cfg)
		}
		found := checkKernel(cfg, c.kernel)
		if got := texts(found, Error); got != c.errors {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.errors)
		}
		if got := texts(found, Warning); got != c.warns {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.warns)
		}
	}
}

func TestObserveKernelTriesWhatTheBackendNeeds(t *testing.T) {
	t.Parallel()
	for backend, want := range map[config.NetworkBackend]string{config.BackendVXLAN: "vxlan", config.BackendWireGuard: "wireguard"} {
		k := observeKernel(backend)
		if _, tried := k.Links[want]; !tried && k.Namespace == nil {
			t.Errorf("%s was not tried: %+v", want, k)
		}
		if before, after := links(t), links(t); before != after {
			t.Errorf("links were left behind: %s, before %s", after, before)
		}
	}
	if k := observeKernel(config.BackendHostGW); len(k.Links) > 2 {
		t.Errorf("more was tried than host-gw needs: %+v", k)
	}
}

func links(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "try-") {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestHasFilesystem(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "filesystems")
	if err := os.WriteFile(list, []byte("nodev\tsysfs\n\text4\nnodev\toverlay\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"overlay": true, "ext4": true, "nodev": false, "over": false} {
		if got := hasFilesystem(list, name); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestCheckCgroups(t *testing.T) {
	t.Parallel()
	const v1 = `25 20 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,nosuid shared:10 - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
29 25 0:26 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
`
	for name, c := range map[string]struct {
		seen  Cgroups
		level Level
		want  string
	}{
		"v2":            {Cgroups{Unified: true, Controllers: strings.Fields("cpuset cpu io memory hugetlb pids")}, Good, "cgroup v2 with cpu, cpuset, memory, pids"},
		"v1":            {Cgroups{Controllers: mountedControllers(v1)}, Warning, "the host has cgroup v1"},
		"no memory":     {Cgroups{Unified: true, Controllers: strings.Fields("cpuset cpu pids")}, Error, "no controller for memory: boot with cgroup_enable=memory"},
		"none":          {Cgroups{}, Error, "no controller for cpu, cpuset, memory, pids"},
		"v1, one short": {Cgroups{Controllers: mountedControllers(strings.ReplaceAll(v1, "rw,cpuset", "rw,blkio"))}, Error, "no controller for cpuset: mount /sys/fs/cgroup"},
	} {
		found := checkCgroups(c.seen)
		if got := texts(found, c.level); !strings.Contains(got, c.want) || len(found) != 1 {
			t.Errorf("%s: got %+v, want %s: %s", name, found, c.level, c.want)
		}
	}
	if seen := observeCgroups("/proc", "/sys/fs/cgroup"); len(seen.Controllers) == 0 {
		t.Errorf("no controllers are seen on this machine: %+v", seen)
	}
}

func TestCheckPackets(t *testing.T) {
	t.Parallel()
	missing := &exec.Error{Name: "nft", Err: exec.ErrNotFound}
	for _, c := range []struct {
		packets Packets
		level   Level
		want    string
	}{
		{Packets{}, Good, "kube-proxy will use nftables"},
		{Packets{NFT: missing, IPTables: true}, Warning, "kube-proxy will use iptables, as nftables does not work: nft is not installed"},
		{Packets{NFT: errors.New("nft too old")}, Error, "neither nft nor iptables works: nft too old: install nftables"},
	} {
		if got := texts(checkPackets(c.packets), c.level); !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %q, want %q", c.packets, got, c.want)
		}
	}
}

// Whatever thread the kernel was tried on, the process still sees its own
// sockets: once, the first thread went to the other namespace.
func TestTryingTheKernelLeavesTheProcessWhereItIs(t *testing.T) {
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if err := inThrowawayNamespace(func() {}); err != nil {
			t.Skipf("no network namespace can be made here: %v", err)
		}
	}
	if after, err := os.Readlink("/proc/self/ns/net"); err != nil || after != before {
		t.Errorf("the process is in %s, was in %s, %v", after, before, err)
	}
}
