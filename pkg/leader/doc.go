// Package leader holds the one election of a cluster with more than one server:
// what must run once runs on the server that has the lease. Upstream's
// components have elections of their own, which would each write every two
// seconds, and which end the process when they are lost; here a lost lease stops
// what must run once, and nothing else.
//
// A server that has never let another one in leads alone, without a lease.
package leader
