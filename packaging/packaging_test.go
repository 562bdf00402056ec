package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The two units are one but for what they run.
func TestUnitsDifferInTheirRole(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	agent := strings.NewReplacer(
		"a Kubernetes server", "a Kubernetes agent", "Conflicts=kelp-agent.service", "Conflicts=kelp.service", "ExecStart=kelp server", "ExecStart=kelp agent",
	).Replace(read("kelp.service"))
	if agent != read("kelp-agent.service") {
		t.Error("kelp-agent.service is not kelp.service for an agent: change both")
	}
	for _, must := range []string{"Type=notify", "Delegate=yes", "KillMode=process", "OOMPolicy=continue", "Restart=always", "WatchdogSec=", "Wants=network-online.target"} {
		if !strings.Contains(agent, "\n"+must) {
			t.Errorf("the units have no %s", must)
		}
	}
}

// OpenRC's service is one file for both roles, which it has from its own name.
func TestOpenRCServiceKnowsItsRole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kelp"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]string{
		"kelp":       dir + "/kelp server, /var/log/kelp.log",
		"kelp-agent": dir + "/kelp agent, /var/log/kelp-agent.log",
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", `. ./kelp.openrc; start_pre; echo "$command $command_args, $output_log"`)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "RC_SVCNAME=" + service}
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s runs %q, %v, want %q", service, out, err, want)
		}
	}
}
