package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/token"
)

func TestTokensAreListedForPeople(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	err := printTokens(&out, []token.Record{
		{ID: "agent", Role: token.Agent, Created: now},
		{ID: "a1", Role: token.Agent, Created: now, Expires: now.Add(90 * time.Minute), Once: true, Description: "rack 7"},
		{ID: "a2", Role: token.Server, Created: now, Expires: now.Add(-time.Second), Once: true, Used: now},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range [][]string{{"ID", "EXPIRES"}, {"agent", "never", "any"}, {"a1", "in 1h30m0s", "1", "rack 7"}, {"a2", "expired", "used"}} {
		for _, part := range want {
			if !strings.Contains(lines[i], part) {
				t.Errorf("line %d is %q, want %q in it", i, lines[i], part)
			}
		}
	}
}

func TestTokenMistakes(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"token create --role=king": `role "king" is not one of server, agent`,
		"token create --ttl=-1h":   "is in the past",
		"token delete":             "no token is named",
	} {
		app := App()
		app.Writer = &bytes.Buffer{}
		err := app.Run(append([]string{"kelp"}, strings.Fields(line)...))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("kelp %s: %v, want %q", line, err, want)
		}
	}
}

// An agent takes the settings of a node, and not those that the cluster shares.
func TestAgentFlags(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, f := range agentFlags() {
		names[f.Names()[0]] = true
	}
	for name, want := range map[string]bool{"server": true, "token": true, "token-file": true, "node-name": true, "config": true, "cluster-cidr": false, "datastore": false} {
		if names[name] != want {
			t.Errorf("flag --%s: %v, want %v", name, names[name], want)
		}
	}
}
