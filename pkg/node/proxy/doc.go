// Package proxy runs kube-proxy inside kelp's process: nftables mode, and
// iptables mode where the host has no nft.
//
// The type is Proxy. Args computes kube-proxy's flags from kelp's
// configuration and from what was seen of the host, and merges the user's
// over them.
//
// Upstream's traps. The options' configuration is a private field: it can be
// given as a file, which is then watched and ends the process when it
// changes, and with which most flags are ignored without a word; or as flags,
// as here, which reach every field that kelp and its users need. AddFlags,
// Parse, Complete, Validate and Run are exported and want no cobra command.
// Run never returns, not even at the end of its context. The node manager
// waits half a minute for the node's addresses, at a pace of a second, and
// calls os.Exit when they change after that: so Proxy waits for them itself,
// without a limit, until they are those that the kubelet sets, and only then
// starts. Conntrack limits that cannot be
// written are fatal: they are left alone where the host does not let us.
package proxy
