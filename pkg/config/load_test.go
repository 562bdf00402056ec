package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes files below a new directory, and returns the path of the first.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

// TestOrder sets one list in every source and takes the sources away from the
// strongest to the weakest.
func TestOrder(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "\nnode-label: [from=file]\n",
		"c.yaml.d/20-b.yaml", "node:\n  labels: [from=second]\n",
		"c.yaml.d/10-a.yml", "node-label: from=first\n",
		"c.yaml.d/30-c.txt", "not: read\n")
	env := []string{"KELP_NODE_LABEL=from=env,also=env", "PATH=/bin"}
	flags := map[string][]string{"node-label": {"from=flag", "a=1,b=2"}}
	for _, tc := range []struct {
		name   string
		opts   LoadOptions
		want   []string
		origin string
	}{
		{"flags", LoadOptions{File: file, Env: env, Flags: flags}, []string{"from=flag", "a=1", "b=2"}, "--node-label"},
		{"env", LoadOptions{File: file, Env: env}, []string{"from=env", "also=env"}, "KELP_NODE_LABEL"},
		{"drop-ins", LoadOptions{File: file}, []string{"from=second"}, filepath.Join(file+".d", "20-b.yaml") + ":2"},
	} {
		cfg, origins, err := Load(tc.opts)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if diff := cmp.Diff(tc.want, cfg.Node.Labels); diff != "" {
			t.Errorf("%s: labels (-want +got):\n%s", tc.name, diff)
		}
		if got := origins["node.labels"].String(); got != tc.origin {
			t.Errorf("%s: origin %s, want %s", tc.name, got, tc.origin)
		}
	}
}

// TestAddAcrossFiles checks that key+ adds to what earlier files said, while
// a plain key replaces it.
func TestAddAcrossFiles(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "tls-san: [a.example]\nnode-label: [old=1]\n",
		"c.yaml.d/1.yaml", "tls-san+: [b.example]\nnode-label: [new=1]\n",
		"c.yaml.d/2.yaml", "api:\n  tlsSANs+: [c.example]\n")
	cfg, origins, err := Load(LoadOptions{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.example", "b.example", "c.example"}, cfg.API.TLSSANs); diff != "" {
		t.Errorf("tlsSANs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"new=1"}, cfg.Node.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if !origins["api.tlsSANs"].Extended || origins["node.labels"].Extended {
		t.Errorf("origins do not tell the list that was added to: %+v", origins)
	}
}

// TestCommas checks where commas separate: not in component arguments.
func TestCommas(t *testing.T) {
	t.Parallel()
	const hard = "eviction-hard=memory.available<100Mi,nodefs.available<5%"
	file := write(t, "c.yaml", "kubelet-arg: "+hard+"\nkube-proxy-arg: [v=2]\n")
	cfg, _, err := Load(LoadOptions{
		File:  file,
		Env:   []string{"KELP_KUBE_PROXY_ARG=v=4  oom-score-adj=-999", "KELP_TLS_SAN="},
		Flags: map[string][]string{"kube-scheduler-arg": {hard, "v=2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Args{Kubelet: []string{hard}, Proxy: []string{"v=4", "oom-score-adj=-999"}, Scheduler: []string{hard, "v=2"}}
	if diff := cmp.Diff(want, cfg.Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if len(cfg.API.TLSSANs) != 0 {
		t.Errorf("an empty variable gives %q, want an empty list", cfg.API.TLSSANs)
	}
}

func TestSourcesAreRefused(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "debug: true\n")
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for _, tc := range []struct {
		name, want string
		opts       LoadOptions
	}{
		{"a named file must exist", "no such file", LoadOptions{File: missing}},
		{"a directory", "not a file", LoadOptions{File: filepath.Dir(file)}},
		{"mistyped variable", "unknown variable KELP_NODE_NMAE; did you mean KELP_NODE_NAME?", LoadOptions{File: file, Env: []string{"KELP_NODE_NMAE=a"}}},
		{"value in the environment", `KELP_HTTPS_LISTEN_PORT: "http" is not a port between 1 and 65535`, LoadOptions{File: file, Env: []string{"KELP_HTTPS_LISTEN_PORT=http"}}},
		{"value of a flag", `--cluster-cidr: "10.42.0.0" is not a range`, LoadOptions{File: file, Flags: map[string][]string{"cluster-cidr": {"10.42.0.0"}}}},
		{"unknown flag", "unknown flag --nope", LoadOptions{File: file, Flags: map[string][]string{"nope": {"x"}}}},
		{"empty value of an enumeration", `--log-level: "" is not one of debug`, LoadOptions{File: file, Flags: map[string][]string{"log-level": {""}}}},
	} {
		_, _, err := Load(tc.opts)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q in it", tc.name, err, tc.want)
		}
	}
}

// TestForeignVariables checks that variables of others do no harm: a Service
// named kelp brings these into its pods.
func TestForeignVariables(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "")
	cfg, origins, err := Load(LoadOptions{File: file, Env: []string{"KELP_SERVICE_HOST=10.43.0.7", "KELP_PORT_443_TCP=x", "KELP_CONFIG=" + file}})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(cfg, Default()) || len(origins) != 0 {
		t.Errorf("foreign variables changed the configuration: %v", origins)
	}
}

// TestProblemsOfAllSources checks that one run names them all.
func TestProblemsOfAllSources(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "debug: maybe\n", "c.yaml.d/a.yaml", "zebra: 1\n")
	_, _, err := Load(LoadOptions{File: file, Env: []string{"KELP_LOG_LEVEL=x"}, Flags: map[string][]string{"log-format": {"x"}}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"c.yaml:1:", "a.yaml:1:", "KELP_LOG_LEVEL:", "--log-format:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the problems:\n%v", want, err)
		}
	}
}

// TestAliases checks that a flag's other name is the same setting, on the
// command line and in a file.
func TestAliases(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "flannel-iface: eth1\n")
	cfg, origins, err := Load(LoadOptions{File: file, Flags: map[string][]string{"flannel-backend": {"host-gw"}, "d": {"/srv/kelp"}}})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Network.Interface != "eth1" || cfg.Network.Backend != BackendHostGW || cfg.DataDir != "/srv/kelp" {
		t.Errorf("aliases are not read: %+v", cfg.Network)
	}
	if got := origins["network.backend"].String(); got != "--network" {
		t.Errorf("origin %s, want --network", got)
	}
}
