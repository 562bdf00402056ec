// Package snapshot is the form in which all of a datastore is kept in one file,
// the same for SQLite and etcd: every key with its revisions, and the cluster's
// keys, sealed.
//
// The file is a tar archive, compressed with zstd or not: metadata.json,
// keys.sealed, pages of keys as length-prefixed protobuf messages of etcd's, and
// at its end summary.json with their number and the SHA-256 of all that comes
// before. So tar and zstd are all that is needed to look into it, and a file that
// was cut short is known by its missing end.
package snapshot
