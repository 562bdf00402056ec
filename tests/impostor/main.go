// Command impostor says that it is a kelp, and is none that starts: what tests
// upgrade to, to see that kelp goes back. The linker stamps what it does.
package main

import (
	"fmt"
	"os"
	"syscall"
)

// Stamped by the test.
var (
	// says is what it prints for --version.
	says string
	// rehearsal is what it says against a rehearsal, nothing if it has no objection.
	rehearsal string
	// hangs is a file that is made by the first start, which never ends. Every
	// other one ends at once.
	hangs string
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	switch os.Args[1] {
	case "--version":
		fmt.Print(says)
	case "upgrade":
		if rehearsal != "" {
			fmt.Fprintln(os.Stderr, "error: "+rehearsal)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "the impostor was started")
		if f, err := os.OpenFile(hangs, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
			_ = syscall.Pause() // until a signal ends it
		}
		os.Exit(1)
	}
}
