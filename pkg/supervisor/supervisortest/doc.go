// Package supervisortest checks that a component keeps what the supervisor
// relies on: it becomes ready, it stops in time, it leaves no goroutine
// behind, and it can be run again or says why not. Each component's test
// calls Check.
package supervisortest
