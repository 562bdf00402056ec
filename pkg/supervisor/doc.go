// Package supervisor starts kelp's components in dependency order, watches
// them, and stops them in reverse.
//
//	waiting ──► starting ──► ready ⇄ degraded ──► stopping ──► stopped
//	                │                                │
//	                └──────────► failed ◄────────────┘          (skipped: not in this mode)
//
// Its main type is Supervisor. A component's Run returning early, or
// panicking, stops all the others and ends the process with that error: there
// is no restart policy in here, as a restart of the process takes two seconds
// and containers do not notice.
//
// Log fields are a fixed set in all of kelp: component, node, peer, member,
// path, took, attempt, next, revision, error.
package supervisor
