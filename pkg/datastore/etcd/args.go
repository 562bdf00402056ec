package etcd

import (
	"fmt"
	"strconv"

	"github.com/kelp-project/kelp/pkg/args"
)

// Inputs are what a member's arguments are computed from.
type Inputs struct {
	Name       string // the member's name: the node's
	Dir        string // its data
	HTTPSocket string // path of the socket for metrics and health
	ClientPort uint16
	PeerPort   uint16
	Server     TLS // for clients
	Peer       TLS // for other members
	User       []string
}

// TLS is the files of one certificate and of the authority that clients'
// certificates are checked with.
type TLS struct{ Cert, Key, CA string }

// The ports of etcd, as everywhere else.
const (
	DefaultClientPort = 2379
	DefaultPeerPort   = 2380
)

// A member alone leads as soon as it has waited out its election timeout.
// Raft fast-forwards the clock of a single member to one tick before that
// and then waits one to five ticks more, chosen at random: 20 to 100 ms.
const (
	heartbeatMillis = 20
	electionMillis  = 100
)

// quotaBytes is the size at which etcd refuses writes: 8 GiB is the most
// that etcd's authors suggest, and its default of 2 is reached by accident.
const quotaBytes = 8 << 30

// ClientURL is where clients connect.
func (in Inputs) ClientURL() string { return fmt.Sprintf("https://127.0.0.1:%d", in.ClientPort) }

// PeerURL is where other members would connect.
func (in Inputs) PeerURL() string { return fmt.Sprintf("https://127.0.0.1:%d", in.PeerPort) }

// HTTPURL is where metrics and health are.
func (in Inputs) HTTPURL() string { return "unix://" + in.HTTPSocket }

// Args returns the member's arguments, without the user's.
func Args(in Inputs) *args.Set {
	s := args.NewSet("etcd")
	const fixed = "kelp alone decides this"
	s.Owned("name", in.Name, "set node.name instead")
	s.Owned("data-dir", in.Dir, "set dataDir instead")
	s.Owned("listen-client-urls", in.ClientURL(), fixed)
	s.Owned("advertise-client-urls", in.ClientURL(), fixed)
	s.Owned("listen-peer-urls", in.PeerURL(), fixed)
	s.Owned("initial-advertise-peer-urls", in.PeerURL(), fixed)
	s.Owned("listen-client-http-urls", in.HTTPURL(), fixed)
	s.Owned("initial-cluster", in.Name+"="+in.PeerURL(), fixed)
	s.Owned("initial-cluster-state", "new", fixed)
	s.Owned("cert-file", in.Server.Cert, fixed)
	s.Owned("key-file", in.Server.Key, fixed)
	s.Owned("trusted-ca-file", in.Server.CA, fixed)
	s.Owned("client-cert-auth", "true", fixed)
	s.Owned("peer-cert-file", in.Peer.Cert, fixed)
	s.Owned("peer-key-file", in.Peer.Key, fixed)
	s.Owned("peer-trusted-ca-file", in.Peer.CA, fixed)
	s.Owned("peer-client-cert-auth", "true", fixed)
	s.Default("heartbeat-interval", strconv.Itoa(heartbeatMillis))
	s.Default("election-timeout", strconv.Itoa(electionMillis))
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
