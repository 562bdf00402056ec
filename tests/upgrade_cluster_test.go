//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// rollout is what kelp upgrade --cluster -o json prints.
type rollout struct {
	Metadata struct{ Name string }
	Spec     struct{ Version, URL string }
	Status   struct {
		Phase, Message string
		Nodes          []upgradedNode
	}
}

type upgradedNode struct {
	Name, State, Version, Message string
	Started, Ended                time.Time
	Cordoned                      bool
}

// A cluster is upgraded node by node, its server first, and not at all when that
// fails. Its pods run on.
func TestUpgradeCluster(t *testing.T) {
	t.Parallel()
	s := bootUpgradable(t, "up-server", "server", "")
	agent := bootUpgradable(t, "up-agent", "agent", agentConfig(s.server, s.agentToken(t)))
	s.awaitNode(t, agent.Name, joined)
	all := []upgradable{s, agent}
	pods := map[string]string{}
	for _, u := range all {
		s.apply(t, fmt.Sprintf(pinned, u.Name, "default"))
	}
	for _, u := range all {
		pods[u.Name] = identity(s.awaitPodNamed(t, "default", "on-"+u.Name, podUp))
	}
	now := s.version(t)
	run := func(want int, args ...string) (r rollout, said string) {
		t.Helper()
		began := time.Now()
		out, took := s.upgrade(t, append([]string{"--cluster", "-o", "json"}, args...)...)
		t.Logf("kelp upgrade --cluster %s: %s\n%s", strings.Join(args, " "), took.Round(time.Millisecond), out.Stderr)
		if err := json.Unmarshal([]byte(out.Stdout), &r); err != nil || out.Code != want {
			t.Fatalf("after %s: %+v, %v", time.Since(began), out, err)
		}
		return r, out.Stderr
	}
	for refused, args := range map[string][]string{
		"is not a program for Linux": {"--cluster", "/etc/hostname"},
		"are for --cluster":          {"--drain", "/opt/kelp/next"},
		"is for one machine":         {"--cluster", "--rollback"},
	} {
		if r, _ := s.upgrade(t, args...); r.Code == 0 || !strings.Contains(r.Stderr, refused) {
			t.Errorf("kelp upgrade %v: %+v", args, r)
		}
	}
	if r, _ := agent.upgrade(t, "--cluster", "/opt/kelp/next"); r.Code == 0 || !strings.Contains(r.Stderr, "this is an agent") {
		t.Errorf("from an agent: %+v", r)
	}

	cordoned := func() string { return s.kubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].spec.unschedulable}") }
	// A pod that nobody would make again is not evicted.
	if r, _ := run(1, "--drain", "/opt/kelp/next"); !strings.HasPrefix(r.Status.Message, "up-server: drain node up-server: ") || !strings.Contains(r.Status.Message, "on-up-server") {
		t.Errorf("a drain that cannot be: %+v", r)
	}
	if got := cordoned() + " " + s.version(t); got != " "+now {
		t.Errorf("after a drain that could not be: %q", got)
	}
	r, said := run(1, s.impostor(t, "v1.37.5", "v1.37.5"))
	if r.Status.Phase != "Failed" || !strings.Contains(said, "up-server: it did not become ready in 3 starts") {
		t.Errorf("%+v: %s", r, said)
	}
	s.awaitDiagnosis(t, soon, "warning", "kelp: systemd has restarted it", "journalctl -u kelp -n 50")
	for _, n := range r.Status.Nodes {
		if n.Name == agent.Name && n.State != "" {
			t.Errorf("the agent was begun, though the server had failed: %+v", n)
		}
	}
	if out := s.run(t, "kelp status; kelp kubectl get events -A --field-selector=reason=UpgradeFailed -o name"); !strings.Contains(out, "of the cluster to v1.37.5, failed") || !strings.Contains(out, "event/"+r.Metadata.Name) {
		t.Errorf("the failure is not told of: %s", out)
	}

	r, said = run(0, "--cordon", "/opt/kelp/next")
	if r.Status.Phase != "Done" || len(r.Status.Nodes) != 2 || strings.Index(said, "up-server: done") > strings.Index(said, "up-agent: ") {
		t.Fatalf("%+v", r)
	}
	if first, second := r.Status.Nodes[0], r.Status.Nodes[1]; first.Name != s.Name || second.Started.Before(first.Ended) {
		t.Errorf("%s was begun at %s, and %s had ended at %s", second.Name, second.Started, first.Name, first.Ended)
	}
	for _, u := range all {
		if got := u.version(t); got != nextVersion {
			t.Errorf("%s has kelp %s, after %s; want %s", u.Name, got, now, nextVersion)
		}
		if got := identity(s.awaitPodNamed(t, "default", "on-"+u.Name, soon)); got != pods[u.Name] {
			t.Errorf("the pod on %s was %s, is %s", u.Name, pods[u.Name], got)
		}
	}
	if out := cordoned(); out != "" {
		t.Errorf("nodes are still cordoned: %s", out)
	}
	if out := s.run(t, "curl -sk -o /dev/null -w '%{http_code}' "+r.Spec.URL); out != "401" {
		t.Errorf("the program is handed out to anybody: %s", out)
	}
	t.Run("declared", func(t *testing.T) { declaredUpgrade(t, s, agent, now) })
}

// declared is an Upgrade as somebody writes it who does not run kelp upgrade.
const declared = `
apiVersion: kelp.io/v1
kind: Upgrade
metadata: {name: declared}
spec: {version: %s, url: %s, paused: true, drain: true}
`

// movable are pods that a drain may evict, one on each node if it can be.
const movable = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: movable, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: movable}}
  template:
    metadata: {labels: {app: movable}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: movable}}}]
      containers: [{name: c, image: ` + webImage + `, imagePullPolicy: Never}]
`

// declaredUpgrade goes to another version by an object, which begins paused; each node
// fetches the program by itself, when its pods have been evicted.
func declaredUpgrade(t *testing.T, s, agent upgradable, version string) {
	await := func(limit time.Duration, want string) {
		t.Helper()
		hosts.Eventually(t, limit, "the upgrade is "+want, func(ctx context.Context) error {
			out, err := s.Kubectl(ctx, "get", "upgrade", "declared", "-o", "jsonpath={.status.phase} {.status.message} {.status.nodes}")
			if err == nil && !strings.HasPrefix(out, want+" ") {
				err = errors.New(out)
			}
			return err
		})
	}
	if r, err := s.Exec(t.Context(), fmt.Sprintf(declared, "v1", "file:///root/kelp"), "kelp", "kubectl", "apply", "-f", "-"); err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "spec.url") {
		t.Errorf("an upgrade to a file: %+v, %v", r, err)
	}
	s.kubectl(t, "delete", "pod", "on-"+s.Name, "on-"+agent.Name) // a drain would not
	s.apply(t, movable)
	s.awaitDeployments(t, "default", 1, podUp)
	evicted := strings.Fields(s.kubectl(t, "get", "pods", "--selector=app=movable", "-o", "jsonpath={.items[*].metadata.name}"))
	s.apply(t, fmt.Sprintf(declared, version, serveProgram(t, lab.binary)))
	await(soon, "Paused")
	if r, _ := s.upgrade(t, "--cluster", "/opt/kelp/next"); r.Code == 0 || !strings.Contains(r.Stderr, "the upgrade declared to kelp "+version+" is under way") {
		t.Errorf("a second upgrade meanwhile: %+v", r)
	}
	s.kubectl(t, "patch", "upgrade", "declared", "--type=merge", `--patch={"spec": {"paused": false}}`)
	await(2*ready, "Done")
	for _, u := range []upgradable{s, agent} {
		if got := u.version(t); got != version {
			t.Errorf("%s has kelp %s, want %s", u.Name, got, version)
		}
	}
	s.awaitDeployments(t, "default", 1, podUp)
	if out := s.kubectl(t, append([]string{"get", "pods", "--ignore-not-found", "-o", "name"}, evicted...)...); len(evicted) != 2 || out != "" {
		t.Errorf("of %v these were not evicted: %s", evicted, out)
	}
	if out := s.kubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].spec.unschedulable}"); out != "" {
		t.Errorf("nodes are still cordoned: %s", out)
	}
}
