package preflight

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/knftables"

	"github.com/kelp-project/kelp/pkg/config"
)

// Kernel is what was tried of the kernel.
type Kernel struct {
	Overlay   bool             // overlayfs can be mounted
	Namespace error            // why no network namespace can be made
	Links     map[string]error // by kind of link, why one cannot be made; nil if it can
	Bridge    bool             // packets on a bridge can pass the packet filter
}

// observeKernel tries what containers and the network backend need.
func observeKernel(backend config.NetworkBackend) Kernel {
	k := Kernel{Overlay: hasOverlay(), Bridge: exists("/proc/sys/net/bridge") || load("br_netfilter")}
	links := []netlink.Link{
		&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "try-veth"}, PeerName: "try-peer"},
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "try-bridge"}},
	}
	switch backend {
	case config.BackendVXLAN:
		links = append(links, &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "try-vxlan"}, VxlanId: 1, Port: 8472})
	case config.BackendWireGuard:
		links = append(links, &netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: "try-wireguard"}})
	}
	k.Namespace = inThrowawayNamespace(func() {
		k.Links = map[string]error{}
		for _, l := range links {
			k.Links[l.Type()] = netlink.LinkAdd(l)
		}
	})
	return k
}

// inThrowawayNamespace runs try on a thread with a network namespace of its
// own, which vanishes with the thread. That thread is never the process's
// first: it would stay, and /proc/net would show the new namespace for good.
func inThrowawayNamespace(try func()) error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
		if unix.Gettid() == unix.Getpid() {
			// While this goroutine holds the first thread, another gets another.
			ended <- inThrowawayNamespace(try)
			runtime.UnlockOSThread()
			return
		}
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			try()
		}
		ended <- err
	}()
	return <-ended
}

// hasOverlay says whether the kernel knows overlayfs, if need be by loading
// its module.
func hasOverlay() bool {
	const list = "/proc/filesystems"
	return hasFilesystem(list, "overlay") || load("overlay") && hasFilesystem(list, "overlay")
}

func hasFilesystem(list, name string) bool {
	file, err := os.Open(list)
	if err != nil {
		return false
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 0 && f[len(f)-1] == name {
			return true
		}
	}
	return false
}

// load loads a kernel module; false where there is none or no modprobe.
func load(module string) bool {
	return exec.Command("modprobe", "--quiet", module).Run() == nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func checkKernel(cfg config.Config, k Kernel) []Finding {
	const check = "kernel"
	var found []Finding
	switch {
	case cfg.Containerd.Snapshotter != config.SnapshotterOverlayFS:
	case k.Overlay:
		found = append(found, good(check, "overlay file systems can be mounted"))
	default:
		found = append(found, failure(check, "the kernel has no overlay file system", "load the module overlay, or use --snapshotter=native, which takes more space"))
	}
	if k.Namespace != nil {
		return append(found, failure(check, fmt.Sprintf("network namespaces cannot be made: %v", k.Namespace), "run kelp with all capabilities, not in a confined container"))
	}
	for _, kind := range []string{"veth", "bridge", "vxlan", "wireguard"} {
		err, tried := k.Links[kind]
		switch {
		case !tried:
		case err == nil:
			found = append(found, good(check, kind+" links can be made"))
		case kind == "vxlan" || kind == "wireguard":
			found = append(found, failure(check, fmt.Sprintf("%s links, for the network between nodes, cannot be made: %v", kind, err), "load the module "+kind+", or choose another --network"))
		default:
			found = append(found, failure(check, fmt.Sprintf("%s links, for pods, cannot be made: %v", kind, err), "load the module "+kind))
		}
	}
	if !k.Bridge {
		found = append(found, warning(check, "packets between pods of this node do not pass the packet filter", "a pod may not reach itself, or a neighbour, through a Service; load the module br_netfilter"))
	}
	return found
}

// Packets is with what the host's packet rules can be made.
type Packets struct {
	NFT      error // why nft does not work, nil if it does
	IPTables bool
}

func observePackets() Packets {
	_, nft := knftables.New(knftables.IPv4Family, "kelp-preflight")
	_, iptables := exec.LookPath("iptables")
	return Packets{NFT: nft, IPTables: iptables == nil}
}

func checkPackets(p Packets) []Finding {
	const check = "packet rules"
	switch {
	case p.NFT == nil:
		return []Finding{good(check, "kube-proxy will use nftables")}
	case p.IPTables:
		why := p.NFT.Error()
		if errors.Is(p.NFT, exec.ErrNotFound) {
			why = "nft is not installed"
		}
		return []Finding{warning(check, "kube-proxy will use iptables, as nftables does not work: "+why, "install nftables, which is faster")}
	}
	return []Finding{failure(check, fmt.Sprintf("neither nft nor iptables works: %v", p.NFT), "install nftables")}
}
