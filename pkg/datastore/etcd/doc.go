// Package etcd runs the embedded etcd as a single member.
//
// Its main type is Member. Clients and peers must show a certificate of the
// etcd authority, everything listens on loopback, and metrics and health are
// on a unix socket below a root-only directory, never on a port.
//
// What upstream makes difficult: a member alone waits for an election
// timeout before it leads, so ticks are short here; gRPC and HTTP on one TLS
// listener make watches starve under load, so HTTP has its own; and closing
// waits more than five seconds for watches, which never end by themselves.
package etcd
