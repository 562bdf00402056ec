// Package tunnel lets servers reach agents that they cannot dial: behind NAT, or
// behind a firewall that lets packets out only. Each agent keeps a connection to
// each server and serves HTTP/2 on it, with the roles turned round: the server
// sends CONNECT requests, and the agent dials what is asked for on its side, if
// it is the node itself or a pod.
//
// The API server's egress selector sends what it has to say to kubelets, pods and
// webhooks to a unix socket; Egress finds the node that an address belongs to,
// and goes through its connection, or directly where there is none.
package tunnel
