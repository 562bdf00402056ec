// Package poll waits for a condition with a bound, and says in its error
// what the last try returned.
package poll
