// Package epoch tells data that was superseded, by a restore of a snapshot or by
// a reset of the cluster to one server, from the cluster's own.
package epoch
