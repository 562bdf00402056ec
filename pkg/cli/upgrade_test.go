package cli

import (
	"strings"
	"testing"
)

func TestUpgradeRefusesWhatContradicts(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"takes one file or URL":              {},
		"takes one file or URL ":             {"a", "b"},
		"takes no file":                      {"--rollback", "a"},
		"is for one machine":                 {"--rollback", "--cluster"},
		"are for --cluster":                  {"--drain", "a"},
		"has to be longer than nothing":      {"--timeout=-1s", "a"},
		`"xml" is not one of table, json`:    {"-o", "xml", "a"},
		"unknown flag --rolback; --rollback": {"--rolback"},
		"a rehearsal is for kelp upgrade to": {"rehearse"},
	} {
		want, hint, _ := strings.Cut(strings.TrimSpace(want), "; ")
		_, err := run(t, append([]string{"upgrade"}, args...)...)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(hintOf(err), hint) {
			t.Errorf("kelp upgrade %v: %v (%s), want %q (%q)", args, err, hintOf(err), want, hint)
		}
	}
}

// TestConfigurationOfAnother reads that of a kelp which was started with other
// arguments, in another environment.
func TestConfigurationOfAnother(t *testing.T) {
	t.Parallel()
	path := file(t, "snapshots: {retain: 7}\n")
	cfg, err := configOf(t.Context(), "server", []string{"--node-name=alpha", "--advertise-address=192.0.2.7", "--restore=x"}, []string{"KELP_CONFIG=" + path, "KELP_DATA_DIR=/srv/kelp", "HOME=/"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Node.Name != "alpha" || cfg.DataDir != "/srv/kelp" || cfg.Snapshots.Retain != 7 {
		t.Errorf("it is %s, %s, %d", cfg.Node.Name, cfg.DataDir, cfg.Snapshots.Retain)
	}
	if _, err := configOf(t.Context(), "agent", []string{"--no-such=x"}, nil); err == nil || !strings.Contains(err.Error(), "unknown flag --no-such") {
		t.Errorf("an unknown flag: %v", err)
	}
}
