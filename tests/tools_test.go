//go:build e2e

package tests

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// One binary is all that an administrator needs on the host.
func TestToolsInTheBinary(t *testing.T) {
	s := cluster(t)
	s.awaitDeployments(t, "kube-system", 3, ready)
	s.run(t, "ln -sf "+hosts.KelpPath+" /usr/local/bin/kubectl")
	for script, want := range map[string]string{
		"kelp kubectl get nodes -o name": "node/" + s.Name,
		"kubectl get nodes -o name":      "node/" + s.Name,
		"kelp ctr images ls -q":          webImage,
		"kelp crictl ps":                 "coredns",
		"kelp crictl pods":               "kube-system",
		"kelp completion bash":           "kelp",
		"kelp completion zsh":            "kelp",
		"kelp completion fish":           "kelp",
		"kelp":                           "server",
		"kelp config schema":             `"clusterCIDRs"`,
		"kelp config":                    "dataDir",
	} {
		if out := s.run(t, script); !strings.Contains(out, want) {
			t.Errorf("%s does not print %q:\n%s", script, want, out)
		}
	}
	if mode := s.run(t, "stat -c '%a %U' "+kubeconfig); mode != "600 root" {
		t.Errorf("the kubeconfig is %s", mode)
	}
}

// kelp status shows every component as ready, for people and for scripts.
func TestStatus(t *testing.T) {
	s := cluster(t)
	s.run(t, "kelp status --wait")
	text := s.run(t, "kelp status")
	for _, component := range []string{"datastore", "apiserver", "controller-manager", "scheduler", "containerd", "network", "kubelet", "proxy", "deploy"} {
		if !strings.Contains(text, component) {
			t.Errorf("kelp status does not list %s:\n%s", component, text)
		}
	}
	var parsed any
	if err := json.Unmarshal([]byte(s.run(t, "kelp status -o json")), &parsed); err != nil {
		t.Errorf("kelp status -o json: %v", err)
	}
}

// Certificates can be listed with the days that they have left.
func TestCertificateList(t *testing.T) {
	s := cluster(t)
	text := s.run(t, "kelp certificate list")
	for _, name := range []string{"server-ca", "client-ca", "apiserver", "kubelet"} {
		if !strings.Contains(text, name) {
			t.Errorf("kelp certificate list does not have %s:\n%s", name, text)
		}
	}
	var parsed any
	if err := json.Unmarshal([]byte(s.run(t, "kelp certificate list -o json")), &parsed); err != nil {
		t.Errorf("kelp certificate list -o json: %v", err)
	}
}
