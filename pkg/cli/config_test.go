package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
)

// row finds the line of a setting in the table.
func row(t *testing.T, table, path string) []string {
	t.Helper()
	for line := range strings.Lines(table) {
		if cells := strings.Fields(line); len(cells) > 0 && cells[0] == path {
			return cells
		}
	}
	t.Fatalf("no line for %s in\n%s", path, table)
	return nil
}

// TestConfigShowsOrigins sets one value in each source.
func TestConfigShowsOrigins(t *testing.T) {
	t.Setenv("KELP_NODE_NAME", "from-env")
	path := file(t, "\nlog-format: json\ntoken: canary-4711\nnode-ip: 192.0.2.7\n")
	out, err := run(t, "config", "--config", path, "--node-label", "a=b", "--node-label", "c=d,e=f", "--kubelet-arg", "x=1,2", "--debug")
	if err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{
		"node.name":             "from-env KELP_NODE_NAME",
		"log.format":            "json " + path + ":2",
		"token":                 "(redacted) " + path + ":3",
		"node.labels":           "a=b,c=d,e=f --node-label",
		"args.kubelet":          "x=1,2 --kubelet-arg",
		"debug":                 "true --debug",
		"dataDir":               "/var/lib/kelp default",
		"api.advertiseAddress":  "192.0.2.7 computed",
		"network.interface":     "- default",
		"containerd.registries": "/etc/kelp/registries.yaml default",
	} {
		if got := strings.Join(row(t, out, setting)[1:], " "); got != want {
			t.Errorf("%s: %q, want %q", setting, got, want)
		}
	}
	if strings.Contains(out, "canary-4711") {
		t.Errorf("the token is shown:\n%s", out)
	}
}

// TestConfigFlagsAnywhere gives flags before and after the word show.
func TestConfigFlagsAnywhere(t *testing.T) {
	t.Parallel()
	path := file(t, "node-ip: 192.0.2.7\n")
	out, err := run(t, "config", "-c", path, "--node-name", "outer", "--debug", "show", "--node-name", "inner", "--https-listen-port", "443")
	if err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{"node.name": "inner", "debug": "true", "api.httpsPort": "443", "node.ips": "192.0.2.7"} {
		if got := row(t, out, setting)[1]; got != want {
			t.Errorf("%s: %s, want %s", setting, got, want)
		}
	}
}

func TestConfigForms(t *testing.T) {
	t.Parallel()
	path := file(t, "node-ip: 192.0.2.7\ntoken: canary-4711\n")
	asYAML, err := run(t, "config", "-c", path, "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := "token: (redacted) # " + path + ":2\n"; !strings.Contains(asYAML, want) {
		t.Errorf("no line %q in\n%s", want, asYAML)
	}
	asJSON, err := run(t, "config", "-o", "json", "show", "-c", path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Config struct {
			Token string
			API   struct{ HTTPSPort int }
		}
		Settings []config.Row
	}
	if err := json.Unmarshal([]byte(asJSON), &got); err != nil {
		t.Fatalf("%v in\n%s", err, asJSON)
	}
	if got.Config.Token != "(redacted)" || got.Config.API.HTTPSPort != 6443 || len(got.Settings) != len(config.Fields()) {
		t.Errorf("wrong JSON:\n%s", asJSON)
	}
	if strings.Contains(asYAML+asJSON, "canary-4711") {
		t.Error("a secret is shown")
	}
}

// TestConfigShowsWhatIsWrong checks that a configuration that is read but not
// valid is shown, and its problems after it.
func TestConfigShowsWhatIsWrong(t *testing.T) {
	t.Parallel()
	path := file(t, "node-ip: 192.0.2.7\ncluster-cidr: 10.43.0.0/16\n")
	out, err := run(t, "config", "-c", path)
	if err == nil || !strings.Contains(err.Error(), path+":2: network.clusterCIDRs: 10.43.0.0/16 overlaps") {
		t.Errorf("error %v does not name the line and the overlap", err)
	}
	if got := row(t, out, "network.clusterCIDRs")[1]; got != "10.43.0.0/16" {
		t.Errorf("cluster range is shown as %s", got)
	}
	// Not every machine has an IPv6 address, but the mistake is the range.
	_, err = run(t, "config", "-c", file(t, "cluster-cidr: fd42::/48\n"))
	if err == nil || !strings.Contains(err.Error(), "network.serviceCIDRs is IPv4") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v is not one line about the families", err)
	}
	out, err = run(t, "config", "-c", file(t, "debug: maybe\n"))
	if err == nil || out != "" {
		t.Errorf("a file that cannot be read gives error %v and\n%s", err, out)
	}
}

func TestConfigValidate(t *testing.T) {
	t.Setenv("KELP_LOG_LEVEL", "nonsense") // the environment is not the file
	good := file(t, "node-ip: 192.0.2.7\nnode-name: alpha\n")
	if out, err := run(t, "config", "validate", good); err != nil || out != good+": valid\n" {
		t.Errorf("output %q, error %v", out, err)
	}
	bad := file(t, "node-nmae: alpha\n")
	if out, err := run(t, "config", "validate", bad); err == nil || out != "" || err.Error() != bad+`:1: unknown key "node-nmae"; did you mean node-name?` {
		t.Errorf("output %q, error %v", out, err)
	}
	if _, err := run(t, "config", "validate", bad+".none"); err == nil {
		t.Error("a missing file is valid")
	}
}

func TestConfigSchema(t *testing.T) {
	t.Parallel()
	out, err := run(t, "config", "schema")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal([]byte(out), &schema); err != nil {
		t.Fatal(err)
	}
	if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("schema is of %v", schema["$schema"])
	}
}

// TestConfigWrite writes what is given, in clear, and reads it back.
func TestConfigWrite(t *testing.T) {
	t.Setenv("KELP_NODE_LABEL", "a=b,c=d")
	t.Setenv("KELP_DATASTORE_ENDPOINT", "postgres://kelp:canary-4711@192.0.2.1/kelp")
	path := filepath.Join(t.TempDir(), "00-install.yaml")
	if _, err := run(t, "config", "write", "--https-listen-port", "443", "--kubelet-arg", "x=1,2", "--node-ip", "192.0.2.7", path); err != nil {
		t.Fatal(err)
	}
	want := "node:\n  ips:\n    - 192.0.2.7\n  labels:\n    - a=b\n    - c=d\napi:\n  httpsPort: 443\n" +
		"datastore:\n  endpoint: postgres://kelp:canary-4711@192.0.2.1/kelp\nargs:\n  kubelet:\n    - x=1,2\n"
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("wrote %q, %v, want %q", text, err, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if out, err := run(t, "config", "validate", path); err != nil || !strings.HasPrefix(out, path+": valid") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestConfigWriteRefuses leaves the file alone when something is wrong.
func TestConfigWriteRefuses(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--cluster-cidr: \"10.42.0.0\" is not a range": {"--cluster-cidr=10.42.0.0"},
		"overlaps":        {"--service-cidr=10.42.0.0/24", "--node-ip=192.0.2.7"},
		"reads no file":   {"--config=/etc/other.yaml"},
		"unknown flag":    {"--restore=x"},
		"takes one file,": {"a"},
	} {
		path := filepath.Join(t.TempDir(), "new.yaml")
		if _, err := run(t, append(append([]string{"config", "write"}, args...), path)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: it was written all the same", args)
		}
	}
}

func TestConfigWriteNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := run(t, "config", "write", path); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || len(text) != 0 {
		t.Errorf("wrote %q, %v", text, err)
	}
}
