// Package images brings container images into containerd without a registry:
// those of the packaged components, which are embedded in the binary, and the
// archives that a user drops into <data-dir>/images.
//
// Its main type is Importer. It guarantees that an image is imported once per
// content (by digest), that what is embedded comes first and is never
// garbage-collected, and that a broken archive of a user's stops nothing
// else.
//
// What upstream makes difficult: the CRI plugin of containerd only lists
// images that carry its label, and learns of others through events; the
// kubelet's garbage collector spares images that carry the pinned label.
//
//	embedded ──► import, unpack pause and coredns ──► ready ──► archives: at start, then on every change
package images
