//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kelp-project/kelp/tests/hosts"
)

const configFile = "/etc/kelp/config.yaml"

// mainPID is the process of kelp's unit.
func (s *server) mainPID(t *testing.T) string {
	t.Helper()
	return s.run(t, "systemctl show -P MainPID kelp")
}

// kelp runs a command of kelp's and returns what it printed and its exit status.
func (s *server) kelp(t *testing.T, args ...string) (string, int) {
	t.Helper()
	r, err := s.Exec(t.Context(), "", append([]string{hosts.KelpPath}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return r.Stdout + r.Stderr, r.Code
}

// awaitTold waits until the line of the configuration in kelp status is as wanted.
func (s *server) awaitTold(t *testing.T, what string, as func(note string) bool) {
	t.Helper()
	hosts.Eventually(t, soon, "kelp status tells "+what, func(ctx context.Context) error {
		out, err := s.Run(ctx, hosts.KelpPath, "status")
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			if rest, ok := strings.CutPrefix(line, "configuration "); ok && as(rest) {
				return nil
			}
		}
		return fmt.Errorf("it says:\n%s", out)
	})
}

// awaitMarks waits until the node has a label and a taint, or neither.
func (s *server) awaitMarks(t *testing.T, label, taint string) {
	t.Helper()
	hosts.Eventually(t, soon, fmt.Sprintf("the node has label %q and taint %q", label, taint), func(ctx context.Context) error {
		node := s.node(t)
		var taints []string
		for _, x := range node.Spec.Taints {
			if !strings.HasPrefix(x.Key, corev1.LabelNamespaceSuffixNode) && !strings.HasPrefix(x.Key, "node.kubernetes.io/") {
				taints = append(taints, x.ToString())
			}
		}
		if got := node.Labels["example.test/live"]; got != label || strings.Join(taints, " ") != taint {
			return fmt.Errorf("it has %q and %q", got, taints)
		}
		return nil
	})
}

// What can change while kelp runs does, and the file is what decides: it comes and
// goes without a new process.
func TestConfigurationIsTakenWhileKelpRuns(t *testing.T) {
	s := cluster(t)
	original := s.run(t, "cat "+configFile)
	pid := s.mainPID(t)
	t.Cleanup(func() {
		if err := s.WriteFile(contextOf(t), configFile, original); err != nil {
			t.Error(err)
		}
	})
	t.Run("labels and taints", func(t *testing.T) {
		s.write(t, configFile, "node:\n  labels: [example.test/live=yes]\n  taints: ['example.test/slow=1:PreferNoSchedule']\n")
		s.awaitMarks(t, "yes", "example.test/slow=1:PreferNoSchedule")
		if out, code := s.kelp(t, "config", "diff"); code != 0 || out != "" {
			t.Errorf("diff against what runs: status %d, %s", code, out)
		}
		s.write(t, configFile, original)
		s.awaitMarks(t, "", "")
	})
	t.Run("log level", func(t *testing.T) { s.levelsChange(t, original) })
	t.Run("retention of snapshots", func(t *testing.T) { s.retentionChanges(t, original) })
	t.Run("disabled components", func(t *testing.T) { s.componentsComeAndGo(t, original) })
	t.Run("a typo", func(t *testing.T) {
		s.write(t, configFile, "node:\n  labels: [example.test/live=yes]\n  tains: []\n")
		s.awaitTold(t, "what is wrong", func(note string) bool {
			return strings.Contains(note, "NOT TAKEN: "+configFile+`:3: unknown key "node.tains"; did you mean node.taints?`)
		})
		s.awaitLog(t, soon, "the configuration is not taken")
		s.awaitDiagnosis(t, soon, "problem", "kelp: the configuration is refused", `unknown key "node.tains"; did you mean node.taints?`, "kelp config show")
		if out, code := s.kelp(t, "config", "diff"); code != 1 || !strings.Contains(out, "did you mean") {
			t.Errorf("diff: status %d, %s", code, out)
		}
		s.awaitMarks(t, "", "")
		s.write(t, configFile, original)
		s.awaitTold(t, "nothing", func(note string) bool { return !strings.Contains(note, "NOT TAKEN") })
	})
	t.Run("what needs a restart, and what cannot be", func(t *testing.T) {
		s.write(t, configFile, "debug: true\n")
		s.awaitTold(t, "what needs a restart", func(note string) bool { return strings.Contains(note, "needs restart: debug") })
		s.write(t, "/root/new.yaml", "debug: true\nlog-level: debug\ntoken: not-to-be-seen\n")
		out, code := s.kelp(t, "config", "diff", "-o", "json", "/root/new.yaml")
		var changes []struct{ Setting, Old, New, Change, Scope, Origin string }
		if err := json.Unmarshal([]byte(out), &changes); err != nil || code != 3 || len(changes) != 3 {
			t.Fatalf("diff: status %d, %v:\n%s", code, err, out)
		}
		if c := changes[2]; c.Setting != "log.level" || c.Old != "info" || c.New != "debug" || c.Change != "live" || c.Scope != "node" || c.Origin != "/root/new.yaml:2" {
			t.Errorf("the last difference is %+v", c)
		}
		if strings.Contains(out, "not-to-be-seen") {
			t.Errorf("a secret is shown:\n%s", out)
		}
		s.write(t, "/root/new.yaml", "cluster-domain: other.test\nlog-level: debug\n")
		out, code = s.kelp(t, "config", "apply", "/root/new.yaml")
		if code != 1 || !strings.Contains(out, "network.clusterDomain") || s.run(t, "cat "+configFile) != "debug: true" {
			t.Errorf("apply: status %d, %s", code, out)
		}
		s.write(t, configFile, original)
		s.awaitTold(t, "nothing", func(note string) bool { return !strings.Contains(note, "needs restart") })
	})
	if now := s.mainPID(t); now != pid {
		t.Errorf("kelp was restarted: %s is now %s", pid, now)
	}
}

// levelsChange has kelp debug for a while.
func (s *server) levelsChange(t *testing.T, original string) {
	debugs := func(ctx context.Context) (int, error) {
		out, err := s.Shell(ctx, `journalctl --unit=kelp --no-pager --output=cat | grep -cE '^[0-9:.]+ DEBUG' || true`)
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(out))
	}
	before, err := debugs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, configFile, "log-level: debug\n")
	hosts.Eventually(t, soon, "kelp debugs", func(ctx context.Context) error {
		s.kubectl(t, "get", "--raw", "/readyz") // something to speak of
		if now, err := debugs(ctx); err != nil || now <= before {
			return fmt.Errorf("%d lines, and %d before: %w", now, before, err)
		}
		return nil
	})
	s.write(t, configFile, original)
	s.awaitLog(t, soon, "took new settings settings=log.level")
	var last int
	hosts.Eventually(t, soon, "kelp debugs no more", func(ctx context.Context) error {
		now, err := debugs(ctx)
		if err == nil && now != last {
			last = now
			err = errors.New("there are new lines")
		}
		return err
	})
	for range 3 {
		s.kubectl(t, "get", "nodes,pods", "-A")
	}
	if now, err := debugs(t.Context()); err != nil || now != last {
		t.Errorf("%d more lines, %v", now-last, err)
	}
}

// retentionChanges makes surplus what was kept. Snapshots that were asked for
// become scheduled ones by their descriptions, for those take a minute each.
func (s *server) retentionChanges(t *testing.T, original string) {
	var mine []string
	for range 2 {
		file := s.saveSnapshot(t, "live")
		mine = append(mine, path.Base(file))
		s.run(t, fmt.Sprintf(`sed -i 's/"reason": "on-demand"/"reason": "schedule"/' %s.json; grep -q '"schedule"' %[1]s.json`, file))
		hosts.Eventually(t, soon, "the second is over, of which the next snapshot would have the name", func(ctx context.Context) error {
			_, err := s.Run(ctx, "sh", "-c", `[ $(date +%s) -gt $(stat -c %Y `+file+`) ]`)
			return err
		})
	}
	t.Cleanup(func() {
		if _, err := s.Run(contextOf(t), "sh", "-c", "rm -f "+snapshotsDir+"/live-*"); err != nil {
			t.Error(err)
		}
	})
	s.write(t, configFile, "snapshots: {retain: 1}\n")
	hosts.Eventually(t, soon, "only the newest is left", func(ctx context.Context) error {
		list, err := s.snapshots(ctx)
		var left []string
		for _, e := range list {
			if strings.HasPrefix(path.Base(e.Location), "live-") {
				left = append(left, path.Base(e.Location))
			}
		}
		if err == nil && (len(left) != 1 || left[0] != mine[1]) {
			err = fmt.Errorf("there are %v", left)
		}
		return err
	})
	s.write(t, configFile, original)
}

// componentsComeAndGo disables a component of manifests, one that runs on the
// server and one that runs on the node, and enables them again.
func (s *server) componentsComeAndGo(t *testing.T, original string) {
	s.awaitDeployments(t, "kube-system", 3, ready)
	namespace := s.namespace(t, "live-policies")
	s.apply(t, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: any, namespace: `+namespace+`}, spec: {podSelector: {}}}`)
	s.awaitPolicyTable(t, true)
	s.write(t, configFile, "components: {disable: [local-storage, servicelb, network-policy]}\n")
	hosts.Eventually(t, podUp, "local-storage is gone", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "deployments,storageclasses,serviceaccounts", "-A", "-o", "name")
		if err == nil && strings.Contains(out, "local-path") {
			return fmt.Errorf("still there:\n%s", out)
		}
		return err
	})
	s.awaitPolicyTable(t, false)
	status := s.run(t, hosts.KelpPath+" status")
	for line := range strings.Lines(status) {
		if name, _, _ := strings.Cut(line, " "); (name == "servicelb" || name == "network-policy") && !strings.Contains(line, "disabled") {
			t.Errorf("status says %s", line)
		}
	}
	s.write(t, configFile, original)
	s.awaitPolicyTable(t, true)
	s.awaitDeployments(t, "kube-system", 3, ready)
}

// What is on trial is undone in time, whether kelp runs, is restarted, or is away
// at that moment; and stays when it is confirmed.
func TestConfigurationOnTrial(t *testing.T) {
	s := cluster(t)
	original := s.run(t, "cat "+configFile)
	t.Cleanup(func() {
		if err := s.WriteFile(contextOf(t), configFile, original); err != nil {
			t.Error(err)
		}
	})
	const tried = "node-label: [example.test/live=tried]\n"
	s.write(t, "/root/tried.yaml", tried)
	try := func(t *testing.T, limit string) {
		t.Helper()
		out, code := s.kelp(t, "config", "apply", "--try", limit, "/root/tried.yaml")
		if code != 0 || !strings.Contains(out, "applied: node.labels: - → example.test/live=tried") || !strings.Contains(out, "on trial until") {
			t.Fatalf("apply: status %d, %s", code, out)
		}
		s.awaitMarks(t, "tried", "")
	}
	undone := func(t *testing.T) {
		t.Helper()
		hosts.Eventually(t, 2*soon, "the file is what it was", func(ctx context.Context) error {
			if text := s.run(t, "cat "+configFile); text != original {
				return fmt.Errorf("it is %q", text)
			}
			return nil
		})
		s.awaitMarks(t, "", "")
		if text := s.run(t, "cat "+configFile+".reverted"); text != strings.TrimSpace(tried) {
			t.Errorf("what was on trial is not kept: %q", text)
		}
	}
	t.Run("kelp runs", func(t *testing.T) {
		try(t, "10s")
		undone(t)
	})
	// The time of those is over when the note says so: nobody waits for it here.
	over := "sed -Ei 's/\"until\":\"[^\"]*\"/\"until\":\"2020-01-01T00:00:00Z\"/' " + configFile + ".trial"
	t.Run("kelp is restarted", func(t *testing.T) {
		try(t, "1h")
		if out, code := s.kelp(t, "config", "apply", "/root/tried.yaml"); code != 1 || !strings.Contains(out, "on trial until") {
			t.Errorf("another one meanwhile: status %d, %s", code, out)
		}
		s.stopKelp(t)
		s.start(t)
		s.awaitTold(t, "of the trial", func(note string) bool { return strings.Contains(note, "on trial for") })
		s.awaitMarks(t, "tried", "")
		s.run(t, over)
		undone(t)
	})
	t.Run("kelp is away", func(t *testing.T) {
		try(t, "1h")
		s.stopKelp(t)
		s.run(t, over)
		if text := s.run(t, "cat "+configFile); text != strings.TrimSpace(tried) {
			t.Errorf("somebody else has undone it: %q", text)
		}
		s.start(t)
		undone(t)
		s.awaitLog(t, soon, "was not confirmed in time, and is what it was before")
	})
	t.Run("it is confirmed", func(t *testing.T) {
		try(t, "1h")
		if out, code := s.kelp(t, "config", "confirm"); code != 0 {
			t.Fatalf("status %d, %s", code, out)
		}
		if out, code := s.kelp(t, "config", "confirm"); code != 1 {
			t.Errorf("twice: status %d, %s", code, out)
		}
		s.run(t, "! test -e "+configFile+".trial")
		s.write(t, "/root/empty.yaml", original)
		if out, code := s.kelp(t, "config", "apply", "/root/empty.yaml"); code != 0 || !strings.Contains(out, "applied: node.labels") {
			t.Errorf("back: status %d, %s", code, out)
		}
		if text := s.run(t, "cat "+configFile+".previous"); text != strings.TrimSpace(tried) {
			t.Errorf("what was replaced is not kept: %q", text)
		}
		s.awaitMarks(t, "", "")
	})
	t.Run("with an editor", func(t *testing.T) {
		s.write(t, "/root/editor", "#!/bin/sh\nif grep -q '^#!' \"$1\"; then sed -i 's/levle/level/' \"$1\"; else echo 'log-levle: info' >>\"$1\"; fi\n")
		out := s.run(t, "chmod +x /root/editor; EDITOR=/root/editor "+hosts.KelpPath+" config edit")
		if text := s.run(t, "cat "+configFile); !strings.Contains(out, "is taken") || !strings.Contains(text, "log-level: info") || strings.Contains(text, "#!") {
			t.Errorf("edit printed %q, and the file is\n%s", out, text)
		}
	})
}
