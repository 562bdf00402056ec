package metrics

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kelp-project/kelp/pkg/balancer"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/tally"
	"github.com/kelp-project/kelp/pkg/live"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// full are sources that have everything.
func full() Sources {
	now := time.Now()
	return Sources{
		Starts: 3,
		Snapshot: func() supervisor.Snapshot {
			return supervisor.Snapshot{Started: now, ReadyAfter: 2.5, Components: []supervisor.Status{
				{Name: "apiserver", State: supervisor.Ready, ReadyAfter: 1.5, Lapses: 2}, {Name: "deploy", State: supervisor.Degraded},
			}}
		},
		Configuration: func() live.State {
			return live.State{Problem: "typo", NeedsRestart: make([]config.Change, 2), Failed: map[string]string{"log": "no"}}
		},
		Certificates: func() []pki.Status {
			return []pki.Status{{Name: "front", Authority: "server-ca", NotAfter: now.Add(time.Hour)}, {Name: "missing"}}
		},
		Requests: func() map[tally.Key]uint64 { return map[tally.Key]uint64{{What: "node", Result: "answered"}: 4} },
		Tokens:   func() map[tally.Key]uint64 { return map[tally.Key]uint64{{What: "agent", Result: "expired"}: 5} },
		Snapshots: func() Snapshots {
			return Snapshots{Good: 6, Made: 7, Failed: 8, Took: 9 * time.Second, Newest: now.Add(-time.Hour), Size: 10, Failing: true}
		},
		Datastore: "etcd",
		Usage: func() Usage {
			return Usage{Size: 100, InUse: 75, Quota: 1000, DiskFree: 11, DiskSize: 12, HasLeader: true, Voters: 3, Learners: 1}
		},
		Leads: func() bool { return true },
		Balancers: map[string]func() []balancer.State{"api": func() []balancer.State {
			return []balancer.State{{Server: "192.0.2.1:6443", Well: true, Connections: 13}}
		}},
		Tunnels: func() int { return 14 },
	}
}

func get(t *testing.T, s Sources, query string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	Handler(s).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics"+query, nil))
	return answer.Code, answer.Body.String()
}

func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	code, text := get(t, full(), "")
	if code != 200 {
		t.Fatalf("%d: %s", code, text)
	}
	for _, want := range []string{
		"kelp_starts_total 3", "kelp_ready_after_seconds 2.5",
		`kelp_component_ready{component="apiserver"} 1`, `kelp_component_ready{component="deploy"} 0`,
		`kelp_component_state{component="deploy",state="degraded"} 1`, `kelp_component_lapses_total{component="apiserver"} 2`,
		"kelp_configuration_valid 0", "kelp_configuration_restart_settings 2", "kelp_configuration_failures 1",
		`kelp_join_requests_total{request="node",result="answered"} 4`, `kelp_token_uses_total{result="expired",role="agent"} 5`,
		"kelp_snapshots 6", "kelp_snapshots_made_total 7", "kelp_snapshot_failures_total 8", "kelp_snapshot_duration_seconds 9",
		"kelp_snapshot_newest_size_bytes 10", "kelp_snapshot_failed 1",
		`kelp_datastore_info{kind="etcd"} 1`, "kelp_datastore_fragmentation_ratio 0.25", "kelp_datastore_quota_bytes 1000",
		"kelp_etcd_has_leader 1", `kelp_etcd_members{role="voter"} 3`, `kelp_etcd_members{role="learner"} 1`,
		"kelp_leader 1", `kelp_balancer_server_healthy{balancer="api",server="192.0.2.1:6443"} 1`, "kelp_tunnel_connections 14",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for _, m := range Table {
		if !strings.Contains(text, "\n# TYPE "+m.Name+" "+m.Kind+"\n") {
			t.Errorf("%s is in the table, and never told", m.Name)
		}
	}
	if strings.Contains(text, `certificate="missing"`) {
		t.Error("a certificate that is not there has time left")
	}
}

// What a role does not have is left out, and an empty datastore is not one of 0
// bytes.
func TestWhatIsNotThereIsLeftOut(t *testing.T) {
	t.Parallel()
	s := Sources{Usage: func() Usage { return Usage{} }, Snapshots: func() Snapshots { return Snapshots{} }}
	code, text := get(t, s, "")
	if code != 200 || strings.Contains(text, "kelp_datastore_") || strings.Contains(text, "kelp_component") || !strings.Contains(text, "kelp_snapshot_newest_age_seconds -1\n") {
		t.Errorf("%d:\n%s", code, text)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range Table {
		if seen[m.Name] || !strings.HasPrefix(m.Name, "kelp_") || !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s is there twice, not kelp's, or has no sentence as help: %q", m.Name, m.Help)
		}
		if strings.HasSuffix(m.Name, "_total") != (m.Kind == "counter") {
			t.Errorf("%s is a %s", m.Name, m.Kind)
		}
		seen[m.Name] = true
	}
	if len(Table) < 30 {
		t.Errorf("the table has %d metrics: this test looks at the wrong one", len(Table))
	}
}

// TestDashboard holds the dashboard to the metrics that there are, and their labels.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../packaging/grafana/kelp.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Fatal("the dashboard is not JSON")
	}
	known := map[string][]string{}
	for _, m := range Table {
		known[m.Name] = m.Labels
	}
	used := regexp.MustCompile(`\bkelp_[a-z_]+\b`).FindAllString(string(text), -1)
	for _, name := range used {
		if _, ok := known[name]; !ok {
			t.Errorf("the dashboard has %s, which kelp does not tell", name)
		}
	}
	if len(used) < 20 {
		t.Errorf("the dashboard has %d uses of metrics: this test cannot read it", len(used))
	}
	for _, m := range regexp.MustCompile(`\b(kelp_[a-z_]+)\{([^}]*)\}`).FindAllStringSubmatch(string(text), -1) {
		for _, label := range regexp.MustCompile(`([a-z_]+)\s*[=!]~?`).FindAllStringSubmatch(m[2], -1) {
			if label[1] != "instance" && label[1] != "job" && !slices.Contains(known[m[1]], label[1]) {
				t.Errorf("the dashboard has the label %s of %s, which has %v", label[1], m[1], known[m[1]])
			}
		}
	}
}

// TestPage holds docs/metrics.md to the table.
func TestPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, m := range Table {
		labels := "–"
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "` `") + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Help)
	}
	if !strings.Contains(string(text), want.String()) {
		t.Errorf("docs/metrics.md is stale: its table should be\n%s", want.String())
	}
}

func TestUpstreamByComponent(t *testing.T) {
	t.Parallel()
	name := "scheduler_kelp_test_total"
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: "Made by a test."})
	prometheus.MustRegister(c)
	if code, text := get(t, Sources{}, "?component=scheduler"); code != 200 || !strings.Contains(text, name) || strings.Contains(text, "go_goroutines") {
		t.Errorf("%d:\n%s", code, text)
	}
	if code, text := get(t, Sources{}, "?component="+Shared); code != 200 || strings.Contains(text, name) || !strings.Contains(text, "go_goroutines") {
		t.Errorf("%d:\n%s", code, text)
	}
	if code, text := get(t, Sources{}, "?component=nobody"); code != 404 || !strings.Contains(text, "scheduler") {
		t.Errorf("%d: %s", code, text)
	}
	for i, p := range prefixes {
		for _, before := range prefixes[:i] {
			if strings.HasPrefix(p.prefix, before.prefix) {
				t.Errorf("%s never counts, for %s comes before it", p.prefix, before.prefix)
			}
		}
	}
}

func TestCountStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run", "starts")
	for want := uint64(1); want < 4; want++ {
		if n, err := CountStart(path); n != want || err != nil {
			t.Errorf("start %d is %d, %v", want, n, err)
		}
	}
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := CountStart(path); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
