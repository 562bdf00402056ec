// Package archive writes a container image as a tar file in OCI layout. It is
// how kelp's own images are made, without a registry and without another
// tool. The same input gives the same bytes: no times, sorted names, one
// layer, compressed with zstd (which is also what containerd keeps on disk).
package archive
