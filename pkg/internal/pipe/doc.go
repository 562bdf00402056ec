// Package pipe carries bytes between two connections, both ways, with half
// closes: each direction ends by itself, as TCP allows.
package pipe
