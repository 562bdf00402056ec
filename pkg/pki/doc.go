// Package pki is kelp's certificates as one table: authorities, leaves,
// keys and the kubeconfigs made from them. One engine plans from the table,
// the disk and the clock what to issue, and applies the plan:
//
//	Table(cfg) ─┐
//	Read(disk) ─┼─► Plan (pure) ─► issue: key, certificate, kubeconfig
//	now ────────┘
//
// The guarantees: an authority that exists is never replaced, and one that is
// broken is an error; a leaf is renewed when under a third of its life is
// left, with the key that it has, so that a reader never meets a pair that
// does not match; no name that a client asks for gets into a certificate, as
// names come from the configuration alone.
package pki
