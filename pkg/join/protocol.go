package join

import (
	"net/netip"

	"github.com/kelp-project/kelp/pkg/epoch"
)

// The paths of the protocol.
const (
	clusterPath = "/v1-kelp/cluster"
	nodePath    = "/v1-kelp/node"
	peerPath    = "/v1-kelp/server"
)

// Cluster is what a machine needs to know of the cluster. What is sent is
// opted in: it is no part of a server's own configuration.
type Cluster struct {
	Version string `json:"version"` // kelp's on the server
	// Settings are those that the whole cluster shares, by path, as text.
	Settings map[string][]string `json:"settings"`
	// Servers are the API servers, host:port.
	Servers []string `json:"servers"`
	// Authorities are PEM, by their name in package pki.
	Authorities map[string]string `json:"authorities"`
}

// NodeRequest asks for a node's certificates.
type NodeRequest struct {
	Name string       `json:"name"`
	IPs  []netip.Addr `json:"ips"`
	// Secret proves that it is the machine that first had the name.
	Secret string `json:"secret"`
	// Requests are PEM, by the certificate's name in package pki.
	Requests map[string]string `json:"requests"`
}

// NodeResponse is the answer.
type NodeResponse struct {
	// Certificates are PEM chains, by the certificate's name in package pki.
	Certificates map[string]string `json:"certificates"`
}

// PeerRequest asks for what a server of the cluster needs.
type PeerRequest struct {
	Name string       `json:"name"`
	IPs  []netip.Addr `json:"ips"`
	// Secret proves that it is the machine that first had the name.
	Secret string `json:"secret"`
	// Kubernetes is the version that the server has.
	Kubernetes string `json:"kubernetes"`
	// Salt is for the key that the answer is sealed with, so that the machine
	// derives it while it waits. Without one the server makes it.
	Salt []byte `json:"salt,omitempty"`
}

// PeerResponse is the answer.
type PeerResponse struct {
	// Sealed are the cluster's keys, encrypted with the token's secret.
	Sealed []byte `json:"sealed"`
	// Epoch is what the cluster's data is of.
	Epoch epoch.Epoch `json:"epoch,omitzero"`
}

// problem is an error with its HTTP status. Its text goes to the joiner.
type problem struct {
	status int
	text   string
}

// Error is the text.
func (p *problem) Error() string { return p.text }

// maxBody bounds what is read as a message: requests are under 1 KB each.
const maxBody = 64 << 10
