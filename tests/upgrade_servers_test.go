//go:build e2e

package tests

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// Three servers and an agent are upgraded one at a time, the servers first, while
// somebody writes all the time: the cluster has its majority throughout, and what was
// acknowledged is there.
func TestUpgradeThreeServers(t *testing.T) {
	one := bootUpgradable(t, "three-one", "server", "")
	joins := serverConfig(one.server, one.serverToken(t))
	two, three := bootUpgradable(t, "three-two", "server", joins), bootUpgradable(t, "three-three", "server", joins)
	leaf := bootUpgradable(t, "three-leaf", "agent", agentConfig(one.server, one.agentToken(t)))
	all := []upgradable{one, two, three, leaf}
	one.awaitVoters(t, 3*soon, 3, 0)
	for _, u := range all {
		one.awaitNode(t, u.Name, joined)
	}
	l := startLedger(t, one.through(t, leaf.server))
	l.await(t, soon)
	l.pause()

	out, took := two.upgrade(t, "--cluster", "--cordon", "-o", "json", "/opt/kelp/next")
	var r rollout
	if err := json.Unmarshal([]byte(out.Stdout), &r); err != nil || out.Code != 0 || r.Status.Phase != "Done" {
		t.Fatalf("%+v, %v", out, err)
	}
	t.Logf("%s, the longest pause of writes in it: %s\n%s", took.Round(100*time.Millisecond), l.pause().Round(10*time.Millisecond), out.Stderr)
	nodes := r.Status.Nodes
	slices.SortFunc(nodes, func(a, b upgradedNode) int { return a.Started.Compare(b.Started) })
	if len(nodes) != 4 || nodes[3].Name != leaf.Name {
		t.Errorf("the agent is not the last of all: %+v", nodes)
	}
	for i, n := range nodes[1:] {
		if before := nodes[i]; n.Started.Before(before.Ended) {
			t.Errorf("%s was begun at %s, and %s had ended at %s", n.Name, n.Started, before.Name, before.Ended)
		}
	}
	for _, u := range all {
		if got := u.version(t); got != nextVersion {
			t.Errorf("%s has kelp %s, want %s", u.Name, got, nextVersion)
		}
	}
	if out := one.kubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].spec.unschedulable}"); strings.TrimSpace(out) != "" {
		t.Errorf("nodes are still cordoned: %s", out)
	}
	one.awaitVoters(t, 2*soon, 3, 0)
	l.await(t, soon)
	l.check(t, three.client(t))
	t.Run("the doctor", func(t *testing.T) { doctorOfServers(t, one.server, two.server, three.server, leaf.server) })
}
