// Package upgrade replaces the kelp that runs on one machine by another version.
//
//	FILE or URL ─► checksum, signature ─► kelp.next ─► what it is ─► may it ─► snapshot ─► rehearsal
//	                                                                                        │ all that can be refused was
//	                                          done ◄─ ready ◄─ restart, on trial ◄──────────┘
//	                                   back, and why ◄─ not
//
// Its main type is Upgrade. The steps up to the rehearsal change nothing but a file
// beside the program, which is removed again when one of them fails. In the
// rehearsal the new program itself is run, with the arguments and the environment
// of the one that runs: it takes the configuration and has each component take its
// arguments, and starts a datastore on a copy of the data. From the restart on package trial sees to
// it that a version that does not become ready makes way for the one before it;
// whoever follows an upgrade may go.
package upgrade
