//go:build e2e

package tests

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// elsewhere are metrics of the dashboard that a single server with SQLite has not.
var elsewhere = []string{
	"kelp_etcd_has_leader", "kelp_etcd_members", "kelp_datastore_quota_bytes", "kelp_datastore_in_use_bytes", "kelp_datastore_fragmentation_ratio", "kelp_balancer_server_healthy", "kelp_balancer_connections",
}

// asked asks the API's port with curl's arguments, and returns status and body.
func (s *server) asked(t *testing.T, path, args string) (code, body string) {
	t.Helper()
	out := s.run(t, fmt.Sprintf("curl -sk --max-time 10 %s -w '\\n%%{http_code}' 'https://127.0.0.1:6443%s'", args, path))
	i := strings.LastIndex(out, "\n")
	return out[i+1:], out[:max(i, 0)]
}

// Whoever may know is told how each component is, and nobody else.
func TestMetricsAndHealth(t *testing.T) {
	s := cluster(t)
	namespace := s.namespace(t, "watching")
	s.kubectl(t, "create", "serviceaccount", "prometheus", "-n", namespace)
	s.write(t, "/root/bearer", "Authorization: Bearer "+s.kubectl(t, "create", "token", "prometheus", "-n", namespace)+"\n")
	paths := []string{
		"/v1-kelp/metrics", "/v1-kelp/metrics?component=apiserver", "/v1-kelp/readyz", "/v1-kelp/livez", "/v1-kelp/healthz", "/v1-kelp/readyz/apiserver",
		"/v1-kelp/nodes/" + s.Name + "/metrics",
	}
	for _, path := range paths {
		if code, body := s.asked(t, path, ""); code != "401" || strings.Contains(body, "kelp_") {
			t.Errorf("a stranger gets %s at %s:\n%s", code, path, body)
		}
		if code, body := s.asked(t, path, "-H @/root/bearer"); code != "403" || strings.Contains(body, "kelp_component") {
			t.Errorf("an account without the right gets %s at %s:\n%s", code, path, body)
		}
	}
	s.kubectl(t, "create", "clusterrolebinding", "watching", "--clusterrole=kelp:monitoring", "--serviceaccount="+namespace+":prometheus")
	t.Cleanup(func() {
		if _, err := s.Kubectl(contextOf(t), "delete", "clusterrolebinding", "watching"); err != nil {
			t.Error(err)
		}
	})
	hosts.Eventually(t, soon, "the account has the right", func(context.Context) error {
		if code, _ := s.asked(t, "/v1-kelp/metrics", "-H @/root/bearer"); code != "200" {
			return fmt.Errorf("it gets %s", code)
		}
		return nil
	})
	for _, path := range paths {
		if code, body := s.asked(t, path, "-H @/root/bearer"); code != "200" {
			t.Errorf("%s is answered with %s:\n%s", path, code, body)
		}
	}
	t.Run("what the dashboard shows is there", s.showsTheDashboard)
	t.Run("health of one component", s.tellsOfComponents)
	t.Run("components are told apart", s.tellsComponentsApart)
}

func (s *server) showsTheDashboard(t *testing.T) {
	dashboard, err := os.ReadFile("../packaging/grafana/kelp.json")
	if err != nil {
		t.Fatal(err)
	}
	_, text := s.asked(t, "/v1-kelp/metrics", "-H @/root/bearer")
	for _, name := range regexp.MustCompile(`\bkelp_[a-z_]+\b`).FindAllString(string(dashboard), -1) {
		if !strings.Contains(text, "\n"+name) && !slices.Contains(elsewhere, name) {
			t.Errorf("%s is not told", name)
		}
	}
	for _, want := range []string{
		`kelp_component_ready{component="kubelet"} 1`, `kelp_datastore_info{kind="sqlite"} 1`, "kelp_leader 1", "kelp_configuration_valid 1",
		`kelp_certificate_left_seconds{authority="server-ca",certificate="apiserver"} `, `kelp_token_uses_total{result="accepted",role="agent"} `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "apiserver_request") {
		t.Error("kelp's own metrics are not alone")
	}
	// The status socket tells root the same.
	if local := s.run(t, "curl -s --unix-socket /run/kelp/kelp.sock http://kelp/metrics"); !strings.Contains(local, "kelp_build_info") {
		t.Errorf("the status socket tells\n%s", local)
	}
}

func (s *server) tellsOfComponents(t *testing.T) {
	for path, want := range map[string]struct{ code, part string }{
		"/v1-kelp/readyz?verbose":                         {"200", "[+]kubelet ready"},
		"/v1-kelp/livez/apiserver?verbose":                {"200", "livez check passed"},
		"/v1-kelp/readyz/nobody":                          {"404", "nobody"},
		"/v1-kelp/nodes/" + s.Name + "/readyz/containerd": {"200", "ok"},
		"/v1-kelp/nodes/nobody/readyz":                    {"404", "no tunnel"},
		"/v1-kelp/nodes/" + s.Name + "/config":            {"404", ""},
	} {
		if code, body := s.asked(t, path, "--path-as-is -H @/root/bearer"); code != want.code && !(want.code == "404" && code == "403") || !strings.Contains(body, want.part) {
			t.Errorf("%s: %s, want %s and %q\n%s", path, code, want.code, want.part, body)
		}
	}
	if code, body := s.asked(t, "/readyz", ""); code != "200" || body != "ok" {
		t.Errorf("the API's own readyz: %s %s", code, body)
	}
}

// tellsComponentsApart has each component's metrics where they belong, and in
// shared only what several components write into.
func (s *server) tellsComponentsApart(t *testing.T) {
	for component, metric := range map[string]string{
		"apiserver": "apiserver_request_total", "controller-manager": "node_collector_zone_size", "scheduler": "scheduler_pending_pods",
		"kubelet": "kubelet_running_pods", "proxy": "kubeproxy_sync_proxy_rules_duration_seconds_count", "shared": "process_resident_memory_bytes",
	} {
		code, text := s.asked(t, "/v1-kelp/metrics?component="+component, "-H @/root/bearer")
		if code != "200" || !strings.Contains(text, "\n"+metric) {
			t.Errorf("%s: %s, and %s is not in it", component, code, metric)
		}
	}
	_, text := s.asked(t, "/v1-kelp/metrics?component=shared", "-H @/root/bearer")
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`^(go|process|grpc_client|workqueue|rest_client|kubernetes|leader_election|reflector|promhttp|hidden|disabled|registered|cardinality)_`).MatchString(m[1]) {
			t.Errorf("%s is in shared: whose is it?", m[1])
		}
	}
}
