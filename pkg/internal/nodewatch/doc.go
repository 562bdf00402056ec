// Package nodewatch waits for a Node object to be as its caller needs it. It
// watches: what waits for it is on the way of a node's becoming Ready.
package nodewatch
