// Package trial guards the start of a new version of kelp: one that does not
// become ready makes way for the one before it, whether it exits, panics, hangs,
// or the machine loses its power in the middle.
//
// The version that is known to work starts the one that is not:
//
//	kelp (old) ─► record? ─ no ─► runs
//	                └ yes ─► counts the start ─► executes kelp.next (new) ─► ready: kelp becomes
//	                                                                        kelp.previous, kelp.next kelp
//	                         three starts, or given up ─► removes kelp.next, notes why, runs
//
// So the name kelp is a program that works at any moment, and what the new one
// can do wrong, down to not being a program at all, is for the old one to see.
// Store is the directory with the record and the outcome of the last trial; each
// change of it is one rename. Enter is the first thing that a start does, and
// Guard the trial of the process that is on one.
package trial
