package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/live"
)

// differs is the exit status of kelp config diff when there are differences, as
// that of kelp status is for what is not as it should be.
const differs = 3

// takeFor bounds how long kelp may take over new settings.
const takeFor = time.Minute

// changeCommands are about the configuration of the kelp that runs here.
func changeCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "diff", Usage: "say in what a file differs from what kelp runs with", ArgsUsage: "[FILE]",
			Description: "Without FILE it is the present one, with its drop-ins. Each setting is live (taken at once), restart (taken\n" +
				"at the next start) or never (refused). Exits with status 0 when nothing differs, 3 when something does,\n" +
				"and 1 when the file is refused.",
			Flags:  []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json"}},
			Action: diffConfig,
		},
		{
			Name: "apply", Usage: "put a file in the place of the configuration file, and have kelp take it", ArgsUsage: "FILE",
			Description: "The file is checked before anything changes. What it replaces is kept beside it, with .previous added.",
			Flags: []cli.Flag{&cli.DurationFlag{
				Name:  "try",
				Usage: "have the file become what it was after this `time`, also if kelp or the machine starts anew, unless kelp config confirm is called",
			}},
			Action: applyConfig,
		},
		{Name: "confirm", Usage: "keep a configuration that is on trial", ArgsUsage: " ", Action: confirmConfig},
		{
			Name: "edit", Usage: "edit the configuration file with $VISUAL or $EDITOR, and have kelp take it", ArgsUsage: " ",
			Description: "A file that is refused is opened again, with what is wrong above it.",
			Action:      editConfig,
		},
	}
}

// ask asks the kelp that runs on this machine.
func ask(ctx context.Context, method, path string, question live.Request) (live.Answer, error) {
	var answer live.Answer
	err := doctor.Call(ctx, config.Default().Paths().StatusSocket, method, path, takeFor, question, &answer)
	return answer, err
}

// textOf reads a file that is meant to be the configuration.
func textOf(file string) (*config.Text, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > config.MaxFileSize {
		return nil, fmt.Errorf("read configuration %s: not a file of at most %d bytes", file, config.MaxFileSize)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return &config.Text{Name: file, Data: data}, nil
}

func diffConfig(c *cli.Context) error {
	form := given(c, "output")
	switch {
	case form != "table" && form != "json":
		return fmt.Errorf("output %q is not one of table, json", form)
	case c.NArg() > 1:
		return errors.New("kelp config diff takes one file")
	}
	var question live.Request
	if c.NArg() == 1 {
		text, err := textOf(c.Args().First())
		if err != nil {
			return err
		}
		question.Text = text
	}
	answer, err := ask(c.Context, http.MethodPost, live.DiffPath, question)
	if err != nil {
		return err
	}
	if err := printChanges(c.App.Writer, form, answer.Changes); err != nil {
		return fmt.Errorf("print the differences: %w", err)
	}
	switch {
	case answer.Problem != "":
		return errors.New(answer.Problem)
	case len(answer.Changes) > 0:
		return quiet{errors.New(""), differs}
	}
	return nil
}

func printChanges(w io.Writer, form string, changes []config.Change) error {
	if form == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(append([]config.Change{}, changes...))
	}
	if len(changes) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SETTING\tOLD\t\tNEW\tCHANGE\tSCOPE\tORIGIN")
	for _, c := range changes {
		fmt.Fprintf(t, "%s\t%s\t→\t%s\t%s\t%s\t%s\n", c.Setting, orDash(c.Old), orDash(c.New), c.Takes, c.Scope, c.Origin)
	}
	return t.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func applyConfig(c *cli.Context) error {
	if c.NArg() != 1 {
		return hinted{errors.New("kelp config apply takes one file"), "kelp config apply my.yaml"}
	}
	text, err := textOf(c.Args().First())
	if err != nil {
		return err
	}
	answer, err := ask(c.Context, http.MethodPost, live.ApplyPath, live.Request{Text: text, Try: c.Duration("try")})
	switch {
	case errors.Is(err, doctor.ErrNotRunning) && c.Duration("try") == 0:
		return replaceConfig(c, text)
	case errors.Is(err, doctor.ErrNotRunning):
		return hinted{err, "nothing can be on trial without it; leave out --try"}
	case err != nil:
		return err
	case answer.Problem != "":
		return errors.New(answer.Problem)
	}
	return tellTaken(c.App.Writer, answer.State)
}

// replaceConfig replaces the file of a kelp that does not run.
func replaceConfig(c *cli.Context, text *config.Text) error {
	opts := loadOptions(c)
	file := opts.File
	if file == "" {
		file = config.DefaultFile
	}
	opts.Instead = text
	if _, _, err := buildConfig(opts); err != nil {
		return err
	}
	if err := live.Replace(file, text.Data); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s is replaced. kelp does not run: it takes it at its next start.\n", file)
	return err
}

// tellTaken says what has become of a file.
func tellTaken(w io.Writer, s live.State) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is taken.\n", s.File)
	list := func(what string, changes []config.Change) {
		for _, c := range changes {
			fmt.Fprintf(&b, "%s: %s: %s → %s\n", what, c.Setting, orDash(c.Old), orDash(c.New))
		}
	}
	list("applied", s.Applied)
	list("needs restart", s.NeedsRestart)
	for _, name := range slices.Sorted(maps.Keys(s.Failed)) {
		fmt.Fprintf(&b, "not applied to %s, and tried again: %s\n", name, s.Failed[name])
	}
	if len(s.Applied)+len(s.NeedsRestart) == 0 {
		fmt.Fprintln(&b, "It says what kelp runs with already.")
	}
	if s.Trial != nil {
		fmt.Fprintf(&b, "It is on trial until %s: kelp config confirm keeps it.\n", s.Trial.Format(time.TimeOnly))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func confirmConfig(c *cli.Context) error {
	answer, err := ask(c.Context, http.MethodPost, live.ConfirmPath, live.Request{})
	if err == nil && answer.Problem != "" {
		err = errors.New(answer.Problem)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s stays as it is.\n", answer.State.File)
	return err
}
