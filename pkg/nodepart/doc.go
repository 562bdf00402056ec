// Package nodepart lists the components that make a machine a node. Servers and
// agents have the same ones; what differs is how the API is reached.
package nodepart
