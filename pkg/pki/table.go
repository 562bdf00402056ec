package pki

import (
	"net/netip"
	"slices"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
)

const (
	day = 24 * time.Hour
	// authorityLife is long, as all that was ever joined hangs on it.
	authorityLife = 3650 * day
	// leafLife is what peers and kubeadm give.
	leafLife = 365 * day
	// backdate covers clocks of other machines that are behind, by an hour where one
	// of them has summer time wrong.
	backdate = time.Hour
	// authorityBackdate covers this machine's own, at its first start: one that is
	// kept in local time is up to 14 hours ahead until it is set, and authorities are
	// not made a second time.
	authorityBackdate = 2 * day
)

// Usage is what a certificate may be used for.
type Usage string

// The usages. Peer is both of a client and a server, as etcd's members are.
const (
	Authority Usage = "authority"
	Client    Usage = "client"
	Serving   Usage = "serving"
	Peer      Usage = "client and serving"
)

// Entry is one row of the table.
type Entry struct {
	Name   string
	Signer string // the authority's name; empty for an authority
	CN     string
	Groups []string // organisations: Kubernetes' groups
	Usage  Usage
	DNS    []string
	IPs    []netip.Addr
	Life   time.Duration
	Files  Files
	// Kubeconfig is where the kubeconfig of this identity is written, if any.
	Kubeconfig string
	// Embed puts certificate and key into the kubeconfig, for one that is
	// copied to other machines.
	Embed bool
	// Reload says who reads the file again when it changes, and how.
	Reload string
}

// How a renewed certificate is picked up. Read in the sources of the pinned
// versions.
const (
	rereadServing = "re-read by the API machinery's dynamic serving certificate, within a minute"
	rereadFront   = "re-read at the next handshake"
	rereadClient  = "re-read by client-go at the next connection, checked every five minutes"
	rereadEtcd    = "re-read at each handshake"
	rereadKubelet = "re-read by the kubelet when the file changes"
	rereadAPI     = "re-read by the API server when the file changes"
	copied        = "in the file anew; copies of it are the user's"
)

// Table is every certificate that kelp has.
func Table(cfg config.Config) []Entry {
	p := cfg.Paths()
	var table []Entry
	for _, name := range AuthorityNames {
		table = append(table, Entry{Name: name, CN: "kelp-" + name, Usage: Authority, Life: authorityLife, Files: AuthorityFiles(p, name), Reload: "never renewed by itself"})
	}
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	local := []string{"localhost"}
	node := append(slices.Clone(local), cfg.Node.Name)
	leaves := []Entry{
		{Name: APIServer, Usage: Serving, CN: "kube-apiserver", DNS: apiNames(cfg), IPs: apiAddresses(cfg, loopback), Reload: rereadFront},
		{Name: APIServerKubeletClient, Usage: Client, CN: "system:kelp:apiserver", Groups: []string{"kelp:kubelet-client"}, Reload: rereadClient},
		{Name: Aggregator, Usage: Client, CN: "system:auth-proxy", Reload: rereadAPI},
		{Name: Admin, Usage: Client, CN: "system:admin", Groups: []string{"system:masters"}, Embed: true, Reload: copied},
		{Name: Kelp, Usage: Client, CN: "system:kelp", Groups: []string{"system:masters"}, Reload: rereadClient},
		{Name: ControllerManager, Usage: Client, CN: "system:kube-controller-manager", Reload: rereadClient},
		{Name: ControllerManagerServing, Usage: Serving, CN: "kube-controller-manager", DNS: local, IPs: loopback, Reload: rereadServing},
		{Name: Scheduler, Usage: Client, CN: "system:kube-scheduler", Reload: rereadClient},
		{Name: SchedulerServing, Usage: Serving, CN: "kube-scheduler", DNS: local, IPs: loopback, Reload: rereadServing},
		{Name: EtcdServer, Usage: Serving, CN: "etcd-server", DNS: node, IPs: nodeAddresses(cfg, loopback), Reload: rereadEtcd},
		{Name: EtcdPeer, Usage: Peer, CN: "etcd-peer", DNS: node, IPs: nodeAddresses(cfg, loopback), Reload: rereadEtcd},
		{Name: EtcdClient, Usage: Client, CN: "etcd-client", Reload: rereadEtcd},
		{Name: Kubelet, Usage: Client, CN: "system:node:" + cfg.Node.Name, Groups: []string{"system:nodes"}, Reload: rereadClient},
		{Name: KubeletServing, Usage: Serving, CN: "system:node:" + cfg.Node.Name, Groups: []string{"system:nodes"}, DNS: node, IPs: nodeAddresses(cfg, loopback), Reload: rereadKubelet},
		{Name: Proxy, Usage: Client, CN: "system:kube-proxy", Reload: rereadClient},
		{Name: Network, Usage: Client, CN: "system:kelp:network", Reload: rereadClient},
	}
	withKubeconfig := []string{Admin, Kelp, ControllerManager, Scheduler, Kubelet, Proxy, Network}
	for _, e := range leaves {
		e.Signer, e.Files, e.Life = signerOf(e.Name), FilesOf(p, e.Name), leafLife
		if slices.Contains(withKubeconfig, e.Name) {
			e.Kubeconfig = KubeconfigOf(p, e.Name)
		}
		if e.Name == Admin {
			e.Kubeconfig = cfg.Kubeconfig.Path
		}
		table = append(table, e)
	}
	return table
}

// apiNames are the host names under which clients know the API server.
func apiNames(cfg config.Config) []string {
	names := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc." + cfg.Network.ClusterDomain, "localhost", cfg.Node.Name,
	}
	for _, san := range cfg.API.TLSSANs {
		if _, err := netip.ParseAddr(san); err != nil {
			names = append(names, san)
		}
	}
	return unique(names)
}

// apiAddresses are the addresses under which clients know the API server.
func apiAddresses(cfg config.Config, loopback []netip.Addr) []netip.Addr {
	addresses := nodeAddresses(cfg, loopback)
	for _, r := range cfg.Network.ServiceCIDRs {
		addresses = append(addresses, r.Masked().Addr().Next())
	}
	if cfg.API.AdvertiseAddress.IsValid() {
		addresses = append(addresses, cfg.API.AdvertiseAddress)
	}
	if b := cfg.API.BindAddress; b.IsValid() && !b.IsUnspecified() {
		addresses = append(addresses, b)
	}
	for _, san := range cfg.API.TLSSANs {
		if a, err := netip.ParseAddr(san); err == nil {
			addresses = append(addresses, a)
		}
	}
	return unique(addresses)
}

func nodeAddresses(cfg config.Config, loopback []netip.Addr) []netip.Addr {
	return unique(slices.Concat(loopback, cfg.Node.IPs, cfg.Node.ExternalIPs))
}

func unique[T comparable](values []T) []T {
	var kept []T
	for _, v := range values {
		if !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	return kept
}
