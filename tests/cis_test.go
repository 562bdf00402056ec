//go:build e2e

package tests

import (
	"testing"

	"github.com/kelp-project/kelp/tests/cis"
)

// A server and an agent without settings meet every control of the CIS benchmark that
// docs/security.md says they do, and none that it says takes a setting.
func TestCISBenchmark(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-that-both-were-given"
	s := ownServer(t, specNamed("cis"), "token: "+secret+"\n")
	s.start(t)
	agent := ownHost(t, specNamed("cis-leaf"), "agent", agentConfig(s, secret))
	agent.start(t)
	s.awaitNode(t, agent.Name, joined)
	s.awaitDeployments(t, "kube-system", 3, ready)

	t.Run("server", func(t *testing.T) { judge(t, look(t, s, s), false) })
	t.Run("agent", func(t *testing.T) { judge(t, look(t, agent, s), false) })
}

// With the settings of docs/security.md, written as it tells, a server with etcd is
// ready, an agent joins it, and both meet what takes a setting, too.
func TestHardened(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-that-both-were-given"
	s := ownServer(t, specNamed("hardened"), "datastore: {kind: etcd}\ntoken: "+secret+"\n")
	for _, b := range []struct{ page, name string }{
		{"security.md", "audit"}, {"security.md", "admission"}, {"security.md", "settings"}, {"security.md", "node"},
	} {
		s.script(t, b.page, b.name, nil)
	}
	s.run(t, "systemctl daemon-reload")
	s.start(t)
	agent := ownHost(t, specNamed("hard-leaf"), "agent", agentConfig(s, secret))
	agent.script(t, "security.md", "node", nil)
	agent.run(t, "systemctl daemon-reload")
	agent.start(t)
	s.awaitNode(t, agent.Name, joined)
	s.awaitDeployments(t, "kube-system", 3, ready)
	t.Run("server", func(t *testing.T) { judge(t, look(t, s, s), true) })
	t.Run("agent", func(t *testing.T) { judge(t, look(t, agent, s), true) })

	if out := s.run(t, "curl -sk https://127.0.0.1:6443/ping"); out != "pong" {
		t.Errorf("/ping says %q", out)
	}
	s.script(t, "security.md", "namespace", nil)
	if out := s.script(t, "security.md", "exception", nil); out == "" {
		t.Error("the namespace with an exception is not on the list")
	}
	s.run(t, "kelp doctor")
}

func look(t *testing.T, s, server *server) cis.Evidence {
	t.Helper()
	e, err := cis.Collect(t.Context(), s, server, s.Name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// judge tries all controls that are about the host.
func judge(t *testing.T, e cis.Evidence, hardened bool) {
	t.Helper()
	tried := 0
	for _, section := range cis.Controls() {
		for _, c := range section.Controls {
			if c.Check == nil || !e.Server && !c.OnAgents() {
				continue
			}
			tried++
			err := c.Check(e)
			switch without := c.Verdict == cis.Setting && !hardened; {
			case err != nil && !without:
				t.Errorf("%s %s (%s): %v", c.ID, c.Asks, c.Verdict, err)
			case err == nil && without:
				t.Errorf("%s %s: it passes without a setting, and the table says otherwise", c.ID, c.Asks)
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d controls were tried", tried)
	}
	t.Logf("%d controls were tried", tried)
}
