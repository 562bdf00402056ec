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
// Guarantees. New refuses a graph that could never all become ready, before
// anything starts. A component starts when all that it comes after have been
// ready once, and is told to stop only when all that come after it have
// stopped or have overrun their deadline. Run returns within ten seconds of
// being told to, and names who still runs.
//
// Upstream's traps: a panic or klog.Fatal in a goroutine that a component has
// started cannot be caught here (package process owns the latter), and some
// components never return from their Run: they wrap it themselves.
//
// Log fields are a fixed set in all of kelp: component, node, peer, member,
// path, took, attempt, next, revision, error.
package supervisor
