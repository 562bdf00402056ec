// Package server is the role of a server: it makes the values that the
// components are built from, lists the components, and runs them. It is the
// only place that knows the whole; the start order of each mode is in
// testdata/order.*.golden.
package server
