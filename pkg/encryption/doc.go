// Package encryption has Secrets encrypted at rest, and their key rotated on all
// servers without a restart. The state of it is in the datastore, where all
// servers, snapshots and restores find it; its keys are sealed with one that only
// the cluster's servers have:
//
//	/kelp/encryption/state ─► Run, on each server ─► the API server's file
//	        ▲                        │
//	        └── Lead, on one  ◄──────┴─ /kelp/encryption/loaded/ADDRESS
//
// Its main types are State, which says which key is used to write and which are
// known to read, and Encryption, which runs. A rotation first spreads the new key,
// so that every server can read what another one writes; then it is used; then all
// Secrets are written anew. Old keys stay known: nothing that was encrypted with
// them is lost.
package encryption
