// Package cli is kelp's command line: each command parses its flags, calls
// one function of another package and prints what it returns. App lists the
// commands, each of which has a file of its own; Run is all that main calls.
//
// The flags of the configuration are derived from config.Fields, so a new
// setting needs no line here. Lists are read without urfave/cli's own
// splitting, for component arguments hold commas.
package cli
