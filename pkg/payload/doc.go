// Package payload carries the helper programs that kelp does not run as
// goroutines: runc, containerd's shim, the CNI plugins and crictl. They are
// built by scripts/payload, embedded compressed, and unpacked once per
// version.
//
//	<bin>/.versions/<hash>/runc       the programs of one version
//	<bin>/runc → .versions/<hash>/…   one stable link for each
//	<cni>/bridge → …                  the same for CNI plugins
//
// Its main function is Unpack. It guarantees that a link only ever points to
// a program that is whole and on disk, that a damaged one is repaired at the
// next start, and that an old version stays for as long as a process (a shim
// of a running pod) runs from it. Links are replaced one by one, so that
// other programs in the CNI directory (a user's own network) stay.
//
// It knows nothing of the rest of kelp.
package payload
