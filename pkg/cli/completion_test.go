package cli

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestBashCompletion runs bash with the script that kelp prints, and asks it
// what it would complete.
func TestBashCompletion(t *testing.T) {
	t.Parallel()
	dir := linkTo(t, "kelp")
	script, err := run(t, "completion", "bash")
	if err != nil {
		t.Fatal(err)
	}
	// Completes the last of the words given as arguments.
	ask := script + `
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
$(complete -p kelp | sed 's/.*-F \([^ ]*\).*/\1/')
printf '%s\n' "${COMPREPLY[@]}"`
	for _, tc := range []struct {
		words      string
		want, none []string
	}{
		{"kelp conf", []string{"config"}, []string{"completion"}},
		{"kelp ", []string{"config", "completion"}, []string{"__complete"}},
		{"kelp config s", []string{"show", "schema"}, []string{"validate"}},
		{"kelp config --node-l", []string{"--node-label"}, []string{"--node-name"}},
		{"kelp config show --cluster-", []string{"--cluster-cidr", "--cluster-dns", "--cluster-domain"}, nil},
		{"kelp config --log-level ", []string{"debug", "info", "warn", "error"}, []string{"show"}},
		{"kelp config --log-level = w", []string{"warn"}, []string{"error"}},
		{"kelp config --node-name alpha sh", []string{"show"}, nil},
		{"kelp config --disable met", []string{"metrics-server"}, nil},
		{"kelp kubectl ap", []string{"apply", "api-resources"}, []string{"get"}},
		{"kelp completion ", []string{"bash", "zsh", "fish"}, nil},
		{"kelp config validate ", nil, []string{"show"}}, // file names, by bash itself
	} {
		cmd := exec.CommandContext(t.Context(), "bash", append([]string{"--norc", "-c", ask, "bash"}, strings.Split(tc.words, " ")...)...)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), asKelp + "=1", "HOME=" + dir}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", tc.words, err, out)
			continue
		}
		got := "\n" + string(out)
		for _, w := range tc.want {
			if !strings.Contains(got, "\n"+w+"\n") {
				t.Errorf("%q does not complete to %s, but to\n%s", tc.words, w, out)
			}
		}
		for _, w := range tc.none {
			if strings.Contains(got, "\n"+w+"\n") {
				t.Errorf("%q completes to %s", tc.words, w)
			}
		}
	}
}

// TestCompletionScripts checks that each shell's script is there and asks the
// hidden command.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		out, err := run(t, "completion", shell)
		if err != nil || !strings.Contains(out, "__complete") || !strings.Contains(out, shell) {
			t.Errorf("%s: error %v, script\n%s", shell, err, out)
		}
	}
}
