package etcd

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/kelp-project/kelp/pkg/args"
)

// Inputs are what a member's arguments are computed from.
type Inputs struct {
	Name       string // the member's name: the node's
	Dir        string // its data
	HTTPSocket string // path of the socket for metrics and health
	ClientPort uint16
	PeerPort   uint16
	// Address is where other servers reach this one; without it the member is
	// alone on loopback.
	Address netip.Addr
	// Others are the peer URLs of the members that were there when this one was
	// added to them, by name. Without any it begins a cluster.
	Others map[string]string
	// Members makes a client of the members that a new one joins; nil for one
	// that begins a cluster.
	Members func() (*clientv3.Client, error)
	// ForceNew makes this member the only one of a cluster that has its data,
	// whoever the others were.
	ForceNew bool
	Server   TLS // for clients
	Peer     TLS // for other members
	User     []string
}

// TLS is the files of one certificate and of the authority that clients'
// certificates are checked with.
type TLS struct{ Cert, Key, CA string }

// The ports of etcd, as everywhere else.
const (
	DefaultClientPort = 2379
	DefaultPeerPort   = 2380
)

// BalancerPort is where a server that has joined others reaches the voters, on
// loopback.
const BalancerPort = 2383

// etcd's own pace, which is for disks and networks of every kind. All members
// of a cluster have to have the same, so one that is alone has it, too.
const (
	heartbeatMillis = 100
	electionMillis  = 1000
)

// maxLearners is how many servers may join at the same time, or stand by.
const maxLearners = 16

// quotaBytes is the size at which etcd refuses writes: 8 GiB is the most
// that etcd's authors suggest, and its default of 2 is reached by accident.
const quotaBytes = 8 << 30

// ClientURL is where clients on this machine connect.
func (in Inputs) ClientURL() string { return address(loopback, in.ClientPort) }

// ClientURLs are all addresses where clients connect.
func (in Inputs) ClientURLs() []string {
	if in.Address.IsValid() {
		return []string{in.ClientURL(), address(in.Address, in.ClientPort)}
	}
	return []string{in.ClientURL()}
}

// advertised is where clients on other machines connect.
func (in Inputs) advertised() string { return in.ClientURLs()[len(in.ClientURLs())-1] }

// PeerURL is where other members connect.
func (in Inputs) PeerURL() string {
	if in.Address.IsValid() {
		return address(in.Address, in.PeerPort)
	}
	return address(loopback, in.PeerPort)
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func address(host netip.Addr, port uint16) string {
	return "https://" + netip.AddrPortFrom(host, port).String()
}

// initialCluster are all members, as etcd wants to be told.
func (in Inputs) initialCluster() string {
	members := []string{in.Name + "=" + in.PeerURL()}
	for name, url := range in.Others {
		members = append(members, name+"="+url)
	}
	slices.Sort(members)
	return strings.Join(members, ",")
}

func (in Inputs) initialState() string {
	if len(in.Others) > 0 {
		return embed.ClusterStateFlagExisting
	}
	return embed.ClusterStateFlagNew
}

// HTTPURL is where metrics and health are.
func (in Inputs) HTTPURL() string { return "unix://" + in.HTTPSocket }

// Args returns the member's arguments, without the user's.
func Args(in Inputs) *args.Set {
	s := args.NewSet("etcd")
	const (
		fixed  = "kelp alone decides this"
		listen = "it is on loopback, and on the first of node.ips where there are other servers"
	)
	s.Owned("name", in.Name, "set node.name instead")
	s.Owned("data-dir", in.Dir, "set dataDir instead")
	s.Owned("listen-client-urls", strings.Join(in.ClientURLs(), ","), listen)
	s.Owned("advertise-client-urls", in.advertised(), listen)
	s.Owned("listen-peer-urls", in.PeerURL(), listen)
	s.Owned("initial-advertise-peer-urls", in.PeerURL(), listen)
	s.Owned("listen-client-http-urls", in.HTTPURL(), fixed)
	s.Owned("initial-cluster", in.initialCluster(), ownPeers)
	s.Owned("initial-cluster-state", in.initialState(), fixed)
	s.Owned("cert-file", in.Server.Cert, ownCerts)
	s.Owned("key-file", in.Server.Key, ownCerts)
	s.Owned("trusted-ca-file", in.Server.CA, ownCerts)
	s.Owned("client-cert-auth", "true", fixed)
	s.Owned("peer-cert-file", in.Peer.Cert, ownCerts)
	s.Owned("peer-key-file", in.Peer.Key, ownCerts)
	s.Owned("peer-trusted-ca-file", in.Peer.CA, ownCerts)
	s.Owned("peer-client-cert-auth", "true", fixed)
	s.Default("heartbeat-interval", strconv.Itoa(heartbeatMillis))
	s.Default("election-timeout", strconv.Itoa(electionMillis))
	s.Default("max-learners", strconv.Itoa(maxLearners))
	s.Default("quota-backend-bytes", strconv.Itoa(quotaBytes))
	s.Default("enable-grpc-gateway", "false")   // JSON for people: the API is for that
	s.Default("auto-compaction-retention", "0") // the API compacts every five minutes
	s.Default("snapshot-count", strconv.Itoa(10000))
	for name, advice := range refused {
		s.Refused(name, advice)
	}
	for _, name := range renamed {
		s.Removed("experimental-"+name, "etcd 3.7", "use "+name)
	}
	for name, gate := range gated {
		s.Removed(name, "etcd 3.7", "use feature-gates="+gate+"=true")
	}
	s.Removed("enable-v2", "etcd 3.6", "nothing in Kubernetes needs it")
	return s
}
