// Package program tells where the program of a process is, also when it was
// renamed or replaced since.
package program
