// Package latest holds a value that somebody produces later and others wait
// for: an address known only after joining, a handler known only once the
// API server is built. It replaces the struct field that is nil until it is
// not.
package latest
