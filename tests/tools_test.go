//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"errors"
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
	var parsed []struct {
		Name     string
		DaysLeft int
	}
	if err := json.Unmarshal([]byte(s.run(t, "kelp certificate list -o json")), &parsed); err != nil || len(parsed) < 15 {
		t.Errorf("kelp certificate list -o json: %d certificates, %v", len(parsed), err)
	}
	for _, c := range parsed {
		if c.DaysLeft < 360 {
			t.Errorf("%s is new and has %d days left", c.Name, c.DaysLeft)
		}
	}
	s.run(t, "kelp certificate check")
}

// Certificates that are rotated are used by the running kelp, which goes on
// without a restart; the old ones are kept.
func TestCertificateRotate(t *testing.T) {
	s := cluster(t)
	served := func(port string) string {
		return s.run(t, "openssl s_client -connect 127.0.0.1:"+port+" -servername localhost </dev/null 2>/dev/null | openssl x509 -noout -serial")
	}
	process := s.run(t, "systemctl show --property=MainPID kelp")
	before := map[string]string{"6443": served("6443"), "10250": served("10250")}
	out := s.run(t, "kelp certificate rotate apiserver kubelet-serving apiserver-kubelet-client kubelet proxy admin")
	for port, old := range before {
		hosts.Eventually(t, volume, "port "+port+" has its new certificate", func(context.Context) error {
			if served(port) == old {
				return errors.New("it is the old one")
			}
			return nil
		})
	}
	// With the API server's new certificate, at the kubelet's; connections with
	// the old one are closed, whatever they were at.
	hosts.Eventually(t, soon, "logs are read through the new certificates", func(ctx context.Context) error {
		_, err := s.Kubectl(ctx, "-n", "kube-system", "logs", "deployment/coredns", "--tail=1")
		return err
	})
	if backup := s.run(t, "ls "+dataDir+"/server/tls-backups/*"); !strings.Contains(backup, "apiserver.key") {
		t.Errorf("the replaced certificates are not kept: %q; rotate said %q", backup, out)
	}
	if now := s.run(t, "systemctl show --property=MainPID kelp"); now != process {
		t.Errorf("kelp was restarted: %s, now %s", process, now)
	}
	if r, err := s.Exec(t.Context(), "", "sh", "-c", "kelp certificate rotate nonsense"); err != nil || r.Code != 1 || !strings.Contains(r.Stderr, "kubelet-serving") {
		t.Errorf("rotating what does not exist: %+v, %v; want the names that do", r, err)
	}
}

// What a component is started with can be seen, and who said so.
func TestArgs(t *testing.T) {
	s := cluster(t)
	for component, want := range map[string]string{
		"kube-apiserver": "authorization-mode", "controller-manager": "use-service-account-credentials", "kube-scheduler": "leader-elect",
		"etcd": "data-dir", "kubelet": "config", "kube-proxy": "proxy-mode",
	} {
		if out := s.run(t, "kelp args "+component); !strings.Contains(out, want) || !strings.Contains(out, "SET BY") {
			t.Errorf("kelp args %s has no %s:\n%s", component, want, out)
		}
	}
	if out := s.run(t, "kelp args --output=flags --kube-scheduler-arg=v=2 kube-scheduler"); !strings.Contains(out, "--v=2") && !strings.Contains(out, "--leader-elect=false") {
		t.Errorf("as flags: %s", out)
	}
}
