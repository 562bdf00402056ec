package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/preflight"
	"github.com/kelp-project/kelp/pkg/server"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "find out what is the matter, why, and what to do; also when the API or kelp is down",
		ArgsUsage: " ",
		Description: "Looks at this machine, the datastore, the API, nodes, pods, controllers, DNS, certificates and the network between\n" +
			"nodes. Exits with status 0 when it finds no problem, 3 when it finds some, and 1 when it could not look.\n" +
			"With --bundle it writes what it has seen, and logs, into an archive for somebody else, without secrets.",
		Flags: append(ServerFlags(), &cli.StringFlag{
			Name: "bundle", Usage: "write a support bundle to `FILE`, which ends with .tar.gz or .tar.zst", Category: "doctor",
		}, &cli.StringFlag{
			Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json", Category: "output",
		}),
		Action: examine,
	}
}

func examine(c *cli.Context) error {
	form := given(c, "output")
	if form != "table" && form != "json" {
		return fmt.Errorf("output %q is not one of table, json", form)
	}
	if os.Geteuid() != 0 {
		return errors.New("keys, sockets and logs are root's alone: use sudo")
	}
	cfg, _, err := LoadConfig(c)
	broken := ""
	if err != nil {
		broken = err.Error() // what was read of it is what there is to go by
	}
	e := doctor.Look(c.Context, cfg, broken, hostAnswers(cfg))
	report := doctor.Diagnose(e)
	if file := given(c, "bundle"); file != "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the program: %w", err)
		}
		if err := doctor.Bundle(c.Context, file, e, doctor.Extra{Files: componentArguments(c, cfg), Kelp: self}); err != nil {
			return err
		}
		fmt.Fprintf(c.App.ErrWriter, "wrote %s: look through it before you give it away\n", file)
	}
	if form == "json" {
		err = printJSON(c.App.Writer, report)
	} else {
		err = report.Print(c.App.Writer)
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if !report.Well() {
		return quiet{errors.New(report.Summary()), notReady}
	}
	return nil
}

// hostAnswers are the preflight's findings about the machine. Good ones are told
// together.
func hostAnswers(cfg config.Config) []doctor.Answer {
	role := preflight.Server
	if keys, err := join.HasKeys(cfg.Paths()); err == nil && !keys {
		if _, known, err := join.Remembered(cfg.Paths()); err == nil && known {
			role = preflight.Agent
		}
	}
	report := preflight.Look(cfg, role)
	fine := 0
	var list []doctor.Answer
	for _, f := range report.Findings {
		a := doctor.Answer{Level: doctor.Good, Subject: f.Check, Text: f.Text}
		switch f.Level {
		case preflight.Warning:
			a.Level = doctor.Warning
		case preflight.Error:
			a.Level = doctor.Problem
		default:
			fine++
			continue
		}
		if f.Fix != "" {
			a.Next = []string{f.Fix}
		}
		list = append(list, a)
	}
	return append(list, doctor.Answer{Level: doctor.Good, Subject: "machine", Text: fmt.Sprintf("%d of %d checks of kelp check are good", fine, len(report.Findings))})
}

// componentArguments are what kelp args shows, for the bundle.
func componentArguments(c *cli.Context, cfg config.Config) map[string]string {
	files := map[string]string{}
	var part *node.Node
	if !cfg.Components.DisableAgent {
		n, err := node.New(c.Context, cfg)
		if err != nil {
			return map[string]string{"args/error.txt": err.Error() + "\n"}
		}
		part = n
	}
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubelet", "kube-proxy"} {
		set, err := server.Arguments(cfg, part, name)
		if err != nil {
			files["args/"+name+".txt"] = err.Error() + "\n"
			continue
		}
		var text bytes.Buffer
		t := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
		for _, e := range set.Entries() {
			for _, v := range e.Values {
				fmt.Fprintf(t, "%s=%s\t%s\n", e.Key, v.Text, v.Source)
			}
		}
		_ = t.Flush() // into memory
		files["args/"+name+".txt"] = text.String()
	}
	return files
}
