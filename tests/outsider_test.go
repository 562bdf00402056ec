//go:build e2e

package tests

import (
	"fmt"
	"strings"
	"testing"
)

// tellsNoKey asks the join API and the API for all that there is, as a stranger,
// with the agents' token and with an agent's own certificate: none of them sees
// a private key, and the datastore's file holds none in the clear either.
func tellsNoKey(t *testing.T, hub, leaf *server, agentToken string) {
	leaf.write(t, "/root/agent-token", "Authorization: Bearer "+agentToken+"\n")
	tls := dataDir + "/agent/tls/"
	for who, credential := range map[string]string{
		"a stranger":            "",
		"the agents' token":     "-H @/root/agent-token",
		"an agent":              "--cert " + tls + "kubelet.crt --key " + tls + "kubelet.key",
		"a token, and an agent": "-H @/root/agent-token --cert " + tls + "kubelet.crt --key " + tls + "kubelet.key",
	} {
		for _, c := range []struct{ method, path, refused string }{
			{"GET", "/v1-kelp/cluster", ""},
			{"POST", "/v1-kelp/node", ""},
			{"POST", "/v1-kelp/server", "40"},
			{"GET", "/v1-kelp/tunnel", "40"},
			{"GET", "/v1-kelp/token", "404"},
			{"GET", "/v1-kelp/../server/tls/server-ca.key", ""},
			{"GET", "/cacerts", ""},
			{"GET", "/api/v1/secrets", "40"},
			{"GET", "/api/v1/namespaces/kube-system/secrets", "40"},
			{"GET", "/api/v1/namespaces/kube-system/secrets/kelp-token-server", "40"},
		} {
			body := ""
			if c.method == "POST" {
				body = "-d '{}'"
			}
			out := leaf.run(t, fmt.Sprintf("curl -sk --path-as-is --max-time 10 %s %s -w '\\n%%{http_code}' https://%s:6443%s", body, credential, hub.Address, c.path))
			if strings.Contains(out, "PRIVATE KEY") {
				t.Errorf("%s gets a key at %s %s", who, c.method, c.path)
			}
			if code := out[strings.LastIndex(out, "\n")+1:]; c.refused != "" && !strings.HasPrefix(code, c.refused) {
				t.Errorf("%s gets %s at %s %s", who, code, c.method, c.path)
			}
		}
	}
	holdsNoKey(t, hub, dataDir+"/server/db")
}

// holdsNoKey looks through a datastore's files. It finds what is surely there, or
// the search would prove nothing.
func holdsNoKey(t *testing.T, s *server, dir string) {
	t.Helper()
	if r, err := s.Exec(t.Context(), "", "grep", "-raqF", "registry/namespaces/kube-system", dir); err != nil || r.Code != 0 {
		t.Fatalf("%s holds no namespace: status %d, %v", dir, r.Code, err)
	}
	if r, err := s.Exec(t.Context(), "", "grep", "-raqF", "PRIVATE KEY", dir); err != nil || r.Code != 1 {
		t.Errorf("there is a private key in %s: status %d, %v", dir, r.Code, err)
	}
	secret := strings.TrimSpace(s.run(t, "cat "+dataDir+"/server/token"))
	secret = secret[strings.LastIndex(secret, ".")+1:]
	s.write(t, "/root/pattern", secret)
	if r, err := s.Exec(t.Context(), "", "grep", "-raqFf", "/root/pattern", dir); err != nil || r.Code != 1 {
		t.Errorf("the server token's secret is in %s: status %d, %v", dir, r.Code, err)
	}
	s.run(t, "rm /root/pattern")
}
