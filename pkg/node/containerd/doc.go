// Package containerd runs containerd inside kelp's process, with its own
// root, state and sockets under kelp's directories, so that it lives beside
// a Docker or containerd that is already on the machine.
//
// The type is Containerd. Config computes containerd's configuration from
// kelp's and from what was seen of the host (Inputs), without touching
// either. Its Run writes the registries' hosts.toml files, starts containerd,
// follows changes of registries.yaml and stops containerd again. Containers
// outlive it: their shims are processes of their own, which the next start
// adopts.
//
// Over it go the user's drop-ins: TOML files of any version that containerd still
// reads, brought up to date by its own steps. In a key that is kelp's (ownedKeys),
// only kelp's value is accepted, and a key that nothing reads is refused.
//
// What is listened on: two unix sockets (gRPC with the CRI, ttrpc for shims),
// both for root alone, and the CRI's streaming server on a free port of
// loopback, whose URLs hold a one-time token. Nothing else.
//
// Upstream's traps: plugins keep their configuration in package variables and
// register Prometheus metrics once, so that a process can run containerd only
// once; a plugin that fails to load is only logged unless it is required; the
// opt plugin changes PATH and the NRI plugin listens at a fixed path outside
// the state directory, so both are off; the CRI plugin resets klog's
// verbosity, which Run puts back.
package containerd
