package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestMain lets the test binary stand in for kelp, for tests that need a
// program: with asKelp set it is one.
func TestMain(m *testing.M) {
	if os.Getenv(asKelp) != "" {
		os.Exit(Report(os.Stderr, Run(context.Background(), os.Args)))
	}
	os.Exit(m.Run())
}

const asKelp = "TEST_BINARY_AS_KELP"

// run runs a command line in this process.
func run(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	app := App()
	app.Writer = &out
	err = app.RunContext(t.Context(), append([]string{"kelp"}, args...))
	return out.String(), err
}

// linkTo makes links to this program, and returns their directory.
func linkTo(t *testing.T, names ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range names {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLinks runs kelp by the names of the tools that it holds.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir := linkTo(t, "kelp", "kubectl", "ctr")
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"kelp":    {[]string{"--version"}, "kelp "},
		"kubectl": {[]string{"version", "--client"}, "Client Version: "},
		"ctr":     {[]string{"--version"}, "ctr "},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, name), tc.args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), asKelp + "=1", "HOME=" + dir}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), tc.want) {
			t.Errorf("%s %v: error %v, want %q at the beginning of\n%s", name, tc.args, err, tc.want, out)
		}
	}
}

// file makes a configuration file.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNoArgumentsIsHelp(t *testing.T) {
	t.Parallel()
	out, err := run(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kelp server", "kelp kubectl get", "config", "completion", "--version"} {
		if !strings.Contains(out, want) {
			t.Errorf("help does not mention %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "__complete") {
		t.Errorf("help shows a hidden command:\n%s", out)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	out, err := run(t, "--version")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kelp ", "\ncommit ", "\nkubernetes ", "\ngo go1."} {
		if !strings.Contains(out, want) {
			t.Errorf("version does not have %q:\n%s", want, out)
		}
	}
}

// TestMistakes checks the whole text that a person gets to see.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"confg"}, "error: kelp: unknown command \"confg\"\nhint: did you mean kelp config?\n"},
		{[]string{"zebra"}, "error: kelp: unknown command \"zebra\"\nhint: kelp --help lists the commands\n"},
		{[]string{"config", "shwo"}, "error: kelp config: unknown command \"shwo\"\nhint: did you mean kelp config show?\n"},
		{[]string{"--versoin"}, "error: kelp: unknown flag --versoin\nhint: did you mean --version?\n"},
		{[]string{"config", "--node-nmae", "a"}, "error: kelp config: unknown flag --node-nmae\nhint: did you mean --node-name?\n"},
		{[]string{"config", "show", "--clustercidr", "a"}, "error: kelp config show: unknown flag --clustercidr\nhint: did you mean --cluster-cidr?\n"},
		{[]string{"config", "validate", "--zebra"}, "error: kelp config validate: unknown flag --zebra\nhint: kelp config validate --help lists the flags\n"},
		{[]string{"config", "--cluster-init"}, "error: kelp config: unknown flag --cluster-init\nhint: kelp has --datastore=etcd for that\n"},
		{[]string{"config", "--debug=maybe"}, "error: kelp config: invalid boolean value \"maybe\" for -debug: parse error\n"},
		{[]string{"config", "-o", "xml"}, "error: output \"xml\" is not one of table, yaml, json\n"},
		{[]string{"config", "validate"}, "error: kelp config validate takes one file\nhint: kelp config validate /etc/kelp/config.yaml\n"},
		{[]string{"completion", "csh"}, "error: \"csh\" is not a shell that kelp has a script for\nhint: kelp completion bash|zsh|fish\n"},
	} {
		out, err := run(t, tc.args...)
		var report bytes.Buffer
		if status := Report(&report, err); status != 1 {
			t.Errorf("%v: exit status %d, want 1", tc.args, status)
		}
		if report.String() != tc.want {
			t.Errorf("%v: report\n%s\nwant\n%s", tc.args, report.String(), tc.want)
		}
		if out != "" {
			t.Errorf("%v: a page of text besides the error:\n%s", tc.args, out)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err    error
		text   string
		status int
	}{
		{nil, "", 0},
		{errors.New("a"), "error: a\n", 1},
		{errors.Join(errors.New("a"), errors.New("b")), "error: a\n       b\n", 1},
		{fmt.Errorf("outer: %w", hinted{errors.New("inner"), "do this"}), "error: outer: inner\nhint: do this\n", 1},
		{cli.Exit("", 7), "", 7},
		{cli.Exit("a", 0), "error: a\n", 1},
	} {
		var b bytes.Buffer
		if status := Report(&b, tc.err); status != tc.status || b.String() != tc.text {
			t.Errorf("Report(%v) = %d %q, want %d %q", tc.err, status, b.String(), tc.status, tc.text)
		}
	}
}
