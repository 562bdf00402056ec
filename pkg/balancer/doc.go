// Package balancer gives a node one address, on loopback, for all servers of
// the cluster:
//
//	kubelet, proxy, network ─► 127.0.0.1 ─► a server that is well
//
// It carries bytes and knows nothing of TLS: what it carries is authenticated
// by the ends. Its main type is Balancer. Servers are asked for their health
// every second; connections to one that has stopped answering are closed, so
// that clients connect anew, to another. The list of servers is kept in a file:
// a node that starts while the server it first joined is gone finds the
// others. Servers that are no longer registered are kept as well, to be asked
// when no other answers.
package balancer
