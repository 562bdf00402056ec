package scheduler

import (
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/google/go-cmp/cmp"
)

func TestCompleteKeepsTheUsersConfiguration(t *testing.T) {
	t.Parallel()
	cfg := sample()
	text, err := complete([]byte(`
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {qps: 7}
profiles:
- schedulerName: packed
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated}}
`), Args(cfg, cfg.Paths()))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion":       "kubescheduler.config.k8s.io/v1",
		"kind":             "KubeSchedulerConfiguration",
		"enableProfiling":  false,
		"clientConnection": map[string]any{"kubeconfig": "/var/lib/kelp/server/kubeconfigs/scheduler.kubeconfig", "qps": float64(7)},
		"profiles": []any{map[string]any{
			"schedulerName": "packed",
			"pluginConfig": []any{map[string]any{
				"name": "NodeResourcesFit", "args": map[string]any{"scoringStrategy": map[string]any{"type": "MostAllocated"}},
			}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("completed (-want +got):\n%s", diff)
	}
}

func TestCompleteRefusesBrokenYAML(t *testing.T) {
	t.Parallel()
	cfg := sample()
	if _, err := complete([]byte("a: [b"), Args(cfg, cfg.Paths())); err == nil {
		t.Error("broken YAML was accepted")
	}
}
