// Package rollout takes a whole cluster to another version of kelp, one node after
// the other. What is wanted is an object of the API, an Upgrade, which kelp
// upgrade --cluster makes, or anybody who may:
//
//	Upgrade ─► the server that leads: whose turn is it? ─► status.nodes
//	              ▲ the Nodes' versions and readiness        │
//	              └──────── each node: is it mine? ◄─────────┘
//	                          └► package upgrade, on itself; what goes wrong: an annotation of its Node
//
// Decide is the whole of the decision: servers before agents, never two servers at a time, the
// one that leads last of them, and nothing more after the first failure. It goes by
// what is in the API alone, so any server goes on where another has stopped.
//
// Nodes may read Upgrades and not write them. Each has its own word on its own
// Node, which is all that a node may change.
package rollout
