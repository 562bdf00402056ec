// Package network gives pods their network: flannel as a library carries
// packets between nodes, and the CNI plugins bridge and host-local connect
// pods to the node.
//
// The type is Network. Conflist computes the CNI configuration and NetConf
// flannel's, both from kelp's configuration and the node's pod CIDRs alone.
//
// In order of time, each as soon as it can be:
//
//	sysctls ─► node has its pod CIDR ─► conflist ─► masquerading ─► flannel backend
//	                                       └► containerd sees it ─► node Ready
//
// The conflist is written before flannel has started, with the MTU that the
// backend will have, because a node is not Ready without it and flannel's
// subnet manager waits a second for its cache; it is corrected should the
// backend's MTU turn out different. It stays at stop, so that at the next
// start pods can be made at once. Interfaces and rules stay too: pods go on.
//
// With --network=none nothing is written and nothing is changed.
//
// Upstream's traps: flannel's subnet manager takes the node's name from the
// environment alone and its configuration from a file; AcquireLease fails
// when the node has no pod CIDR yet; its nftables rules are set once, so that
// `nft flush ruleset` by another program takes them away, which is why they
// are set again every minute.
package network
