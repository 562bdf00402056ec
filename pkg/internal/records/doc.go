// Package records reads all that a datastore holds, at one revision, through
// etcd's API, and compares it with what it should hold.
package records
