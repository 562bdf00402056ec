//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// signers are the issuers of the certificates that a node's kubelet has, and the
// hash of the keys of a server's authorities.
const (
	kubeletSigner = `openssl x509 -noout -issuer -in ` + dataDir + `/agent/tls/kubelet.crt`
	authorityKeys = "cat " + dataDir + "/server/tls/*-ca.key | sha256sum"
)

// authoritiesHaveSuccessors gives the cluster new authorities, one of them a
// company's own, while a server is down, which follows when it is back. Whoever
// knows the old ones alone goes on: a copy of the kubeconfig, an agent, pods.
func (c *trio) authoritiesHaveSuccessors(t *testing.T) {
	leader := c.leader(t)
	down := c.other(leader)
	before := leader.run(t, authorityKeys)
	leader.run(t, "cp /etc/kelp/kubeconfig.yaml /root/before.yaml")
	pids := c.pids(t)
	delete(pids, nodeName(down))
	down.stopKelp(t)

	leader.run(t, `set -e; mkdir -p /root/company; cd /root/company
openssl req -x509 -newkey rsa:2048 -nodes -days 900 -keyout client-ca.key -out client-ca.crt -subj "/CN=the company" -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null`)
	if r, err := leader.Exec(t.Context(), "", hosts.KelpPath, "certificate", "rotate-ca", "--from=/root"); err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "there is no authority in /root") {
		t.Errorf("a directory with no authority: status %d, %v: %s", r.Code, err, r.Stderr)
	}
	if after := leader.run(t, authorityKeys); after != before {
		t.Error("an error has changed the authorities")
	}
	out := leader.run(t, hosts.KelpPath+" certificate rotate-ca --from=/root/company")
	if !strings.Contains(out, "generation 1 of the authorities is made") {
		t.Errorf("rotate-ca printed %q", out)
	}
	after := leader.run(t, authorityKeys)
	if after == before {
		t.Fatal("the authorities are the old ones")
	}
	leader.run(t, "cmp /root/company/client-ca.key "+dataDir+"/server/tls/client-ca.key")
	down.start(t)
	for name, s := range c.servers {
		hosts.Eventually(t, soon, name+" has the new authorities", func(ctx context.Context) error {
			if _, err := s.Run(ctx, hosts.KelpPath, "certificate", "check"); err != nil {
				return err
			}
			if s.run(t, authorityKeys) != after {
				return errors.New("it has others")
			}
			return nil
		})
		// The new one alone is enough to know a server by, and the old one is.
		new := "--certificate-authority=" + dataDir + "/server/tls/server-ca-signing.crt"
		s.run(t, hosts.KelpPath+" kubectl "+new+" get nodes")
	}
	leader.run(t, "KUBECONFIG=/root/before.yaml "+hosts.KelpPath+" kubectl get nodes")
	leader.awaitVoters(t, soon, 3, 0)
	for name, pid := range c.pids(t) {
		if old, ran := pids[name]; ran && old != pid {
			t.Errorf("%s started anew", name)
		}
	}

	// The agent has heard nothing yet, and its pods run on and can be reached.
	const namespace = "after-the-succession"
	leader.makeNamespace(t, namespace)
	leader.apply(t, fmt.Sprintf(pinned, "ha-leaf", namespace))
	leader.awaitPod(t, namespace, "host=ha-leaf", podUp)
	logs := func() {
		t.Helper()
		// The API server closes the connections that it has with its old certificate.
		hosts.Eventually(t, soon, "logs of a pod on the agent", func(ctx context.Context) error {
			_, err := leader.Kubectl(ctx, "-n", namespace, "logs", "-l", "host=ha-leaf")
			return err
		})
	}
	logs()
	was := c.leaf.run(t, kubeletSigner)
	c.leaf.stopKelp(t)
	c.leaf.start(t)
	leader.awaitNode(t, "ha-leaf", ready)
	if is := c.leaf.run(t, kubeletSigner); is == was || !strings.Contains(is, "the company") {
		t.Errorf("the agent's certificate is signed by %s, and was by %s", is, was)
	}
	logs()
	leader.kubectl(t, "delete", "namespace", namespace, "--timeout=60s") // what comes after counts pods
	c.ledger.check(t, leader.client(t))
}
