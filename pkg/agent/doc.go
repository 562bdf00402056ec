// Package agent is the role of a machine that is a node and nothing else:
//
//	ask a server ─► settings, certificates ─► balancer ─► the node part
//
// What the cluster shares comes from the servers before any component exists,
// so there is one supervisor and one phase. A machine that has joined before
// starts with what it knows when no server answers.
package agent
