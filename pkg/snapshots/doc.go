// Package snapshots makes, keeps, shows and restores snapshots of the datastore:
// what package datastore/snapshot is the form of. A snapshot is a file and a
// description beside it, in a directory; whatever the directory holds is what
// there is, and the objects in the API only show it.
package snapshots
