package cli

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
)

//go:embed completion
var scripts embed.FS

var shells = []string{"bash", "zsh", "fish"}

// completionCommand prints a script that teaches a shell kelp's words. The
// scripts ask the hidden command __complete, so they need no change when
// commands and flags do.
func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a completion script for bash, zsh or fish", ArgsUsage: "bash|zsh|fish",
		Description: "bash:  kelp completion bash > /etc/bash_completion.d/kelp\n" +
			"zsh:   kelp completion zsh > /usr/local/share/zsh/site-functions/_kelp\n" +
			"fish:  kelp completion fish > /etc/fish/completions/kelp.fish",
		Action: func(c *cli.Context) error {
			shell := c.Args().First()
			if c.Args().Len() != 1 || !slices.Contains(shells, shell) {
				return hinted{fmt.Errorf("%q is not a shell that kelp has a script for", shell), "kelp completion bash|zsh|fish"}
			}
			script, err := scripts.ReadFile("completion/" + shell)
			if err != nil {
				return fmt.Errorf("read completion script: %w", err)
			}
			_, err = c.App.Writer.Write(script)
			return err
		},
	}
}

// completeCommand prints, for the words of a command line of which the last
// one is being typed, what that word may become: one candidate a line, a tab,
// a description. No line means file names.
func completeCommand() *cli.Command {
	return &cli.Command{
		Name: "__complete", Hidden: true, SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) == 0 {
				words = []string{""}
			}
			if words[0] == "kubectl" && len(words) > 1 {
				return completeKubectl(c, words[1:])
			}
			return writeCandidates(c.App.Writer, complete(c.App, words))
		},
	}
}

// completeKubectl asks kubectl itself, which knows the same protocol.
func completeKubectl(c *cli.Context, words []string) error {
	return App().RunContext(c.Context, slices.Concat([]string{"kelp", "kubectl", "__complete"}, words))
}

type candidate struct{ word, help string }

func writeCandidates(w io.Writer, list []candidate) error {
	for _, c := range list {
		if _, err := fmt.Fprintf(w, "%s\t%s\n", c.word, c.help); err != nil {
			return err
		}
	}
	return nil
}

// complete lists what the last of words may become, given those before it.
func complete(app *cli.App, words []string) []candidate {
	// bash breaks words at =, so that --log-level=de arrives in three.
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "=" })
	if len(words) == 0 {
		return nil
	}
	before, typed := words[:len(words)-1], words[len(words)-1]
	commands, flags := app.Commands, app.Flags
	var current *cli.Command
	wantsValue := ""
	for _, w := range before {
		switch {
		case wantsValue != "":
			wantsValue = ""
		case strings.HasPrefix(w, "-"):
			wantsValue = valueFlag(flags, w)
		default:
			if next := commandNamed(commands, w); next != nil {
				current, commands, flags = next, next.Subcommands, next.Flags
			}
		}
	}
	var list []candidate
	switch {
	case wantsValue != "":
		list = valuesOf(wantsValue)
	case strings.HasPrefix(typed, "-"):
		list = flagCandidates(flags)
	case current != nil && current.Name == "completion":
		for _, s := range shells {
			list = append(list, candidate{s, ""})
		}
	default:
		list = commandCandidates(commands)
	}
	return slices.DeleteFunc(list, func(c candidate) bool { return !strings.HasPrefix(c.word, typed) })
}

func commandNamed(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// valueFlag is the name of the flag in word, if the next word is its value.
func valueFlag(flags []cli.Flag, word string) string {
	name := strings.TrimLeft(word, "-")
	if strings.Contains(name, "=") {
		return ""
	}
	for _, f := range flags {
		if d, ok := f.(cli.DocGenerationFlag); ok && slices.Contains(f.Names(), name) && d.TakesValue() {
			return f.Names()[0]
		}
	}
	return ""
}

func valuesOf(flag string) (list []candidate) {
	values := map[string][]string{"output": forms, "disable": config.Packaged}[flag]
	if f, ok := config.FieldByFlag(flag); ok && len(f.Values) > 0 {
		values = f.Values
	}
	for _, v := range values {
		list = append(list, candidate{v, ""})
	}
	return list
}

func flagCandidates(flags []cli.Flag) []candidate {
	list := []candidate{{"--help", "show help"}}
	for _, f := range flags {
		help := ""
		if d, ok := f.(cli.DocGenerationFlag); ok {
			help = d.GetUsage()
		}
		for _, name := range f.Names() {
			if len(name) > 1 && name != "help" {
				list = append(list, candidate{"--" + name, help})
			}
		}
	}
	return list
}

func commandCandidates(commands []*cli.Command) (list []candidate) {
	for _, c := range commands {
		if !c.Hidden {
			list = append(list, candidate{c.Name, c.Usage})
		}
	}
	return list
}
