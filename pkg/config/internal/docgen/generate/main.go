// Command generate writes pkg/config/zz_help.go and docs/configuration.md. It
// is run by go generate, in the directory of package config.
package main

import (
	"fmt"
	"os"

	"github.com/kelp-project/kelp/pkg/config/internal/docgen"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	help, err := docgen.Help("config.go")
	if err != nil {
		return err
	}
	source, err := docgen.HelpFile(help)
	if err != nil {
		return err
	}
	if err := os.WriteFile("zz_help.go", source, 0o644); err != nil {
		return fmt.Errorf("write help texts: %w", err)
	}
	if err := os.WriteFile("../../docs/configuration.md", docgen.Reference(help), 0o644); err != nil {
		return fmt.Errorf("write reference: %w", err)
	}
	return nil
}
