//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// From an empty disk and without a network, systemctl start returns when the
// node is Ready, and everything that kelp packages follows.
func TestStartFromNothing(t *testing.T) {
	s := cluster(t)
	t.Logf("systemctl start took %s", shared.took.Round(time.Millisecond))
	if shared.took > 30*time.Second {
		t.Errorf("the node was Ready after %s: that is not seconds", shared.took)
	}
	if err := nodeReady(s.node(t)); err != nil {
		t.Errorf("systemd was told that kelp is ready, but the %v", err)
	}
	s.awaitDeployments(t, "kube-system", 3, ready)
	classes := s.kubectl(t, "get", "storageclass", "-o", `jsonpath={range .items[*]}{.metadata.name}={.metadata.annotations.storageclass\.kubernetes\.io/is-default-class}{end}`)
	if classes != "local-path=true" {
		t.Errorf("storage classes: %q, want local-path as the default", classes)
	}
	s.kubectl(t, "get", "runtimeclasses")
}

// describes is nil when a client can get a description of each of these groups' versions.
func (s *server) describes(ctx context.Context, versions ...string) error {
	out, err := s.Kubectl(ctx, "get", "--raw", "/openapi/v3")
	if err != nil {
		return err
	}
	var root struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.Unmarshal([]byte(out), &root); err != nil {
		return err
	}
	for _, v := range versions {
		of := root.Paths[v].ServerRelativeURL
		if of == "" {
			return fmt.Errorf("%s is not described, but %d others", v, len(root.Paths))
		}
		if out, err := s.Kubectl(ctx, "get", "--raw", of); err != nil || !strings.Contains(out, `"openapi":"3.0.0"`) {
			return fmt.Errorf("%s is described by %.200s, %w", v, out, err)
		}
	}
	return nil
}

// Clients are told what each resource is like: Kubernetes' own, kelp's, and those of an
// API that a pod serves, in both versions of such descriptions.
func TestResourcesAreDescribed(t *testing.T) {
	s := cluster(t)
	s.awaitDeployments(t, "kube-system", 3, ready)
	// Upstream asks an API that did not answer again a minute later.
	hosts.Eventually(t, 3*soon, "all groups are described", func(ctx context.Context) error {
		return s.describes(ctx, "api/v1", "apis/apps/v1", "apis/apiextensions.k8s.io/v1", "apis/apiregistration.k8s.io/v1", "apis/kelp.io/v1", "apis/metrics.k8s.io/v1beta1")
	})
	out := s.kubectl(t, "get", "--raw", "/openapi/v2")
	for _, want := range []string{"io.k8s.api.core.v1.Pod", "io.k8s.api.apps.v1.Deployment", "io.kelp.v1.Snapshot", "/apis/metrics.k8s.io/v1beta1/nodes"} {
		if !strings.Contains(out, `"`+want+`"`) {
			t.Errorf("version 2 does not describe %s", want)
		}
	}
	if out := s.kubectl(t, "explain", "deployment.spec.replicas"); !strings.Contains(out, "Number of desired pods") {
		t.Errorf("kubectl explain says %s", out)
	}
}

// The versions that kelp and its node report are kelp's, not a placeholder.
func TestVersionIsStamped(t *testing.T) {
	s := cluster(t)
	if v := s.run(t, "kelp --version"); !strings.Contains(v, "v1.37.2") && !strings.Contains(v, "0.") {
		t.Errorf("kelp --version says %q", v)
	}
	info := s.node(t).Status.NodeInfo
	if !strings.HasPrefix(info.KubeletVersion, "v1.37.2") {
		t.Errorf("kubelet version is %q", info.KubeletVersion)
	}
	if !strings.HasPrefix(info.ContainerRuntimeVersion, "containerd://2.4.2") && !strings.HasPrefix(info.ContainerRuntimeVersion, "containerd://v2.4.2") {
		t.Errorf("runtime version is %q", info.ContainerRuntimeVersion)
	}
}

// A clean start tells a person what happens in less than a screen.
func TestStartLogIsShort(t *testing.T) {
	s := ownServer(t, specNamed("log"), "")
	s.start(t)
	if err := s.describes(t.Context(), "api/v1", "apis/apps/v1"); err != nil { // at once
		t.Error(err)
	}
	lines := strings.Split(s.run(t, "journalctl -u kelp -o cat --no-pager"), "\n")
	if len(lines) >= 45 {
		t.Errorf("the start printed %d lines, want fewer than 45:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	for _, component := range []string{"datastore", "apiserver", "containerd", "kubelet"} {
		if !strings.Contains(strings.Join(lines, "\n"), component) {
			t.Errorf("the start's log does not speak of %s", component)
		}
	}

	s.stopKelp(t)
	s.write(t, "/etc/kelp/config.yaml", "log: {format: json}\n")
	s.start(t)
	ready := map[string]bool{}
	for _, line := range strings.Split(s.run(t, "journalctl -o cat --no-pager _SYSTEMD_UNIT=kelp.service _SYSTEMD_INVOCATION_ID=$(systemctl show --property=InvocationID --value kelp)"), "\n") {
		var entry struct{ Time, Level, Msg, Component string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Level == "" || entry.Msg == "" {
			t.Errorf("with log.format json, a line is %q (%v)", line, err)
		}
		ready[entry.Component] = ready[entry.Component] || entry.Msg == "ready"
	}
	if !ready["apiserver"] || !ready["kubelet"] {
		t.Errorf("the log for machines does not say that the components are ready: %v", ready)
	}
}
