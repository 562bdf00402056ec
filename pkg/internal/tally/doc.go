// Package tally counts what happens, by two labels.
package tally
