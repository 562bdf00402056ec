// Command coredns is CoreDNS without the plugins that bring in large clients of
// something that is not there: clouds (azure, clouddns, dnssec's key store,
// route53), other catalogues (etcd, nomad), tracing, geography, and dynupdate's
// database. It is half the size, so half the time to import.
package main
