// Package authorities gives a cluster's authorities successors while it runs: one
// server makes them, a Secret that only servers can open carries them to all the
// others, and each adopts them and issues its certificates anew.
package authorities
