package scheduler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"

	"github.com/kelp-project/kelp/tests/guide"
)

// file makes a configuration with a file for the scheduler.
func file(t *testing.T, text string) (*Scheduler, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := sample("--config=" + path)
	return New(cfg, Inputs{Paths: cfg.Paths()}), filepath.Dir(path) + "/"
}

// The guide's configuration as it stands is of a version that is gone, and has in it a
// plugin that went before it and constraints that are only read with a word beside them.
func TestGuideConfigurationIsRefusedByLine(t *testing.T) {
	t.Parallel()
	s, dir := file(t, guide.Block("kube-scheduler.yaml"))
	_, err := s.Merged()
	want := `x.yaml:1: kubescheduler.config.k8s.io/v1beta3 was removed in v1.29; write kubescheduler.config.k8s.io/v1
x.yaml:18: plugin NodeResourcesLeastAllocated was removed in v1.23; set scoringStrategy.type of NodeResourcesFit to LeastAllocated, which is its default
x.yaml:46: defaultConstraints are only read with defaultingType: List beside them`
	if err == nil || strings.ReplaceAll(err.Error(), dir, "") != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// guideConfiguration is the guide's with what it says there mended.
func guideConfiguration() string {
	text := guide.Without(guide.Block("kube-scheduler.yaml"), "disabled:", "NodeResourcesLeastAllocated")
	return strings.NewReplacer("/v1beta3", "/v1", "      defaultConstraints:", "      defaultingType: List\n      defaultConstraints:").Replace(text)
}

// Mended, both profiles are what the guide says.
func TestGuideConfiguration(t *testing.T) {
	t.Parallel()
	s, _ := file(t, guideConfiguration())
	set, err := s.Merged()
	if err != nil {
		t.Fatal(err)
	}
	path, _ := set.Get("config")
	completed, err := readFile(path, set)
	if err != nil {
		t.Fatal(err)
	}
	object, _, err := scheme.Codecs.UniversalDecoder().Decode(completed, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := object.(*config.KubeSchedulerConfiguration)
	if len(got.Profiles) != 2 || got.Profiles[0].SchedulerName != "default-scheduler" || got.Profiles[1].SchedulerName != "gpu-scheduler" {
		t.Fatalf("profiles: %+v", got.Profiles)
	}
	weight := func(profile int, plugin string) int32 {
		for _, p := range got.Profiles[profile].Plugins.Score.Enabled {
			if p.Name == plugin {
				return p.Weight
			}
		}
		return -1
	}
	if weight(0, "NodeResourcesBalancedAllocation") != 10 || weight(0, "ImageLocality") != 1 || weight(1, "NodeResourcesFit") != 100 {
		t.Errorf("weights: %+v, %+v", got.Profiles[0].Plugins.Score, got.Profiles[1].Plugins.Score)
	}
	for _, c := range got.Profiles[1].PluginConfig {
		if fit, ok := c.Args.(*config.NodeResourcesFitArgs); ok {
			if first := fit.ScoringStrategy.Resources[0]; fit.ScoringStrategy.Type != config.LeastAllocated || first.Name != "nvidia.com/gpu" || first.Weight != 100 {
				t.Errorf("the second profile's strategy: %+v", fit.ScoringStrategy)
			}
			return
		}
	}
	t.Error("the second profile has no arguments of NodeResourcesFit")
}

func TestFileRefuses(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
	for text, want := range map[string]string{
		"kind: Pod\n":                                                          "x.yaml:1: apiVersion and kind must be kubescheduler.config.k8s.io/v1 and KubeSchedulerConfiguration",
		head + "profile: []\n":                                                 `x.yaml:3: KubeSchedulerConfiguration has no field "profile"; did you mean profiles?`,
		head + "healthzBindAddress: 0.0.0.0:1\n":                               "x.yaml:3: healthzBindAddress is gone; health and metrics are on the argument secure-port",
		head + "clientConnection:\n  kubeconfig: /x\n":                         "x.yaml:4: clientConnection.kubeconfig is set by kelp; its certificates are kelp's: see kelp certificate",
		head + "leaderElection: {leaderElect: true}\n":                         "x.yaml:3: leaderElection is set by kelp; one lease of kelp's decides for all components on which server they run",
		head + "profiles:\n- plugins: {score: {enabled: [{name: Nowhere}]}}\n": `x.yaml:4: the scheduler has no plugin "Nowhere"`,
		head + "parallelism: 8\n":                                              "",
		head + "parallelism: -1\n":                                             "KubeSchedulerConfiguration x.yaml: parallelism: Invalid value: -1",
	} {
		s, dir := file(t, text)
		_, err := s.Merged()
		if got := ""; err != nil {
			got = strings.ReplaceAll(err.Error(), dir, "")
			if want == "" || !strings.HasPrefix(got, want) {
				t.Errorf("%s:\n got %s\nwant %s", text, got, want)
			}
		} else if want != "" {
			t.Errorf("%s was accepted, want %s", text, want)
		}
	}
	cfg := sample("config=/no/such/file")
	if _, err := New(cfg, Inputs{Paths: cfg.Paths()}).Merged(); err == nil || !strings.Contains(err.Error(), `kube-scheduler argument "config=/no/such/file"`) {
		t.Errorf("a file that is missing: %v", err)
	}
}

// What is said to be gone and is there again would be refused for nothing.
func TestGonePluginsAndVersionsAreGone(t *testing.T) {
	t.Parallel()
	known := plugins.NewInTreeRegistry()
	for name := range gonePlugins {
		if _, is := known[name]; is {
			t.Errorf("the scheduler has the plugin %s", name)
		}
	}
	for _, version := range scheme.Scheme.PrioritizedVersionsForGroup("kubescheduler.config.k8s.io") {
		if release, gone := goneVersions[version.String()]; gone {
			t.Errorf("%s is said to be removed in %s, but it is there", version, release)
		}
	}
}
