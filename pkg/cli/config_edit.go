package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/live"
)

// above begins each line that kelp config edit puts over a file that was refused.
const above = "#! "

// editConfig has the user edit the file until it is taken, as kubectl edit does:
// one that is left as it was opened ends that.
func editConfig(c *cli.Context) error {
	state, err := ask(c.Context, http.MethodGet, live.StatePath, live.Request{})
	if err != nil {
		return err
	}
	file := state.State.File
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read configuration: %w", err)
	}
	tmp, err := os.CreateTemp("", "kelp-config-*.yaml") // 0600
	if err != nil {
		return fmt.Errorf("make a copy to edit: %w", err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("make a copy to edit: %w", err)
	}
	text, problem := before, ""
	for {
		opened := append(commented(problem), text...)
		edited, err := edit(c, tmp.Name(), opened)
		if err != nil {
			return err
		}
		if text = edited; problem != "" {
			text = uncommented(edited)
		}
		switch {
		case bytes.Equal(edited, opened) && problem != "":
			return hinted{errors.New(problem), "what you have written is in " + tmp.Name()}
		case bytes.Equal(text, before):
			_, err := fmt.Fprintln(c.App.Writer, "nothing was changed.")
			return errors.Join(err, os.Remove(tmp.Name()))
		}
		answer, err := ask(c.Context, http.MethodPost, live.ApplyPath, live.Request{Text: &config.Text{Name: file, Data: text}})
		if err != nil {
			return err
		}
		if problem = answer.Problem; problem == "" {
			return errors.Join(tellTaken(c.App.Writer, answer.State), os.Remove(tmp.Name()))
		}
	}
}

// edit returns what the user makes of a text.
func edit(c *cli.Context, path string, text []byte) ([]byte, error) {
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("make a copy to edit: %w", err)
	}
	editor := "vi"
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if value := os.Getenv(name); value != "" {
			editor = value
			break
		}
	}
	// By a shell, for it may have arguments.
	cmd := exec.CommandContext(c.Context, "sh", "-c", editor+` "$1"`, "sh", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, hinted{fmt.Errorf("run the editor %s: %w", editor, err), "what was written is in " + path}
	}
	edited, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read what was edited: %w", err)
	}
	return edited, nil
}

func commented(problem string) []byte {
	if problem == "" {
		return nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sThis was refused; the line numbers are those below. Leave the file as it is to give up.\n", above)
	for _, line := range strings.Split(strings.TrimSpace(problem), "\n") {
		fmt.Fprintf(&b, "%s%s\n", above, line)
	}
	return b.Bytes()
}

func uncommented(text []byte) []byte {
	for bytes.HasPrefix(text, []byte(above)) {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}
