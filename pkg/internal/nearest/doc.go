// Package nearest finds the name that a user most likely meant.
package nearest
