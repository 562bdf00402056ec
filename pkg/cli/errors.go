package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/nearest"
)

// hinted is an error that knows what the user can do.
type hinted struct {
	error
	hint string
}

// Hint says what to do.
func (h hinted) Hint() string { return h.hint }

// Unwrap is the error that the hint is about.
func (h hinted) Unwrap() error { return h.error }

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func exitStatus(err error) int {
	var coded cli.ExitCoder
	if errors.As(err, &coded) && coded.ExitCode() > 0 {
		return coded.ExitCode()
	}
	return 1
}

// indent puts the lines of joined errors under each other.
func indent(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n       ")
}

// onUsageError makes wrong flags of all commands an error like others: one
// line and the nearest flag, and not a page of help.
func onUsageError(commands []*cli.Command) {
	for _, c := range commands {
		if c.OnUsageError == nil {
			c.OnUsageError = usageError
		}
		onUsageError(c.Subcommands)
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return fmt.Errorf("%s: %w", commandLine(c), err)
	}
	name = strings.TrimLeft(name, "-")
	flags := c.App.Flags
	if c.Command != nil && len(c.Command.Flags) > 0 {
		flags = c.Command.Flags
	}
	var known []string
	for _, f := range flags {
		known = append(known, f.Names()...)
	}
	unknownFlag := fmt.Errorf("%s: unknown flag %s", commandLine(c), dashed(name))
	if advice := config.Advice(name); advice != "" {
		return hinted{unknownFlag, advice}
	}
	if near := nearest.Name(name, known); near != "" {
		return hinted{unknownFlag, "did you mean " + dashed(near) + "?"}
	}
	return hinted{unknownFlag, commandLine(c) + " --help lists the flags"}
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// commandLine is the command of c with those above it: kelp config show.
func commandLine(c *cli.Context) string {
	if c.Command == nil || c.Command.HelpName == "" {
		return c.App.Name
	}
	return c.Command.HelpName
}

func unknownCommand(name string, commands []*cli.Command, under string) error {
	var known []string
	for _, c := range commands {
		if !c.Hidden {
			known = append(known, c.Names()...)
		}
	}
	err := fmt.Errorf("%s: unknown command %q", under, name)
	if near := nearest.Name(name, known); near != "" {
		return hinted{err, "did you mean " + under + " " + near + "?"}
	}
	return hinted{err, under + " --help lists the commands"}
}
