// Package deploy makes the cluster hold what the manifests directory says:
//
//	scan directory ─► parse ─► plan (pure) ─► apply in phases ─► prune ─► Addon
//
// Each file is applied with server-side apply, in dependency order over all
// files: namespaces and definitions first, webhooks and aggregated APIs last.
// What a file no longer holds is pruned, and so are a deleted file's objects:
// the inventory is in the file's Addon object, which survives kelp, and is
// noted there before anything is made. A broken document is reported with
// file, document and line, and stops no other file; nothing of its own file is
// pruned while it is broken.
//
// NAME.skip beside NAME leaves that file alone. Packaged manifests are written
// into the directory at each start; a disabled one is removed from it, and its
// objects go as those of any file that was deleted.
package deploy
