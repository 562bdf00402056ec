package kubelet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"

// The configuration that Kubernetes guides print passes, save for what is no
// field of the kubelet's and for a feature gate that is gone.
func TestGuideConfiguration(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/guide.conf")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Merge(Configuration(single(), inputs()), []DropIn{{Path: "guide.conf", Data: data}})
	want := "guide.conf:82: metricsBindAddress is a field of kube-proxy; the kubelet's metrics are on its own port\n" +
		"guide.conf:72: feature gate PodSecurity was removed in v1.28: pod security admission is always on"
	if err == nil || err.Error() != want {
		t.Fatalf("got\n%v\nwant\n%s", err, want)
	}
	var kept []string
	for line := range strings.Lines(string(data)) {
		if !strings.Contains(line, "PodSecurity") && !strings.Contains(line, "metricsBindAddress") {
			kept = append(kept, line)
		}
	}
	merged, err := Merge(Configuration(single(), inputs()), []DropIn{{Path: "guide.conf", Data: []byte(strings.Join(kept, ""))}})
	if err != nil {
		t.Fatal(err)
	}
	if merged.TLSCertFile != "/var/lib/kubelet/pki/kubelet.crt" || merged.ShutdownGracePeriod.Seconds() != 30 || merged.EvictionHard["nodefs.available"] != "10%" {
		t.Errorf("the guide's settings are not in force: %+v", merged)
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"a typing error":      {head + "maxpods: 3\n", `x.conf:3: KubeletConfiguration has no field "maxpods"; did you mean maxPods?`},
		"a nested one":        {head + "authentication:\n  anonymous:\n    enable: true\n", `x.conf:5: KubeletConfiguration has no field "authentication.anonymous.enable"`},
		"a removed one":       {head + "podInfraContainerImage: x\n", "x.conf:3: podInfraContainerImage is gone; the pause image is embedded"},
		"another kind":        {"apiVersion: v1\nkind: Pod\n", "x.conf:1: apiVersion and kind must be kubelet.config.k8s.io/v1beta1 and KubeletConfiguration"},
		"an unknown gate":     {head + "featureGates:\n  NoSuchGate: true\n", "x.conf:4: there is no feature gate NoSuchGate"},
		"a wrong type":        {head + "maxPods: many\n", "x.conf: "},
		"a key that is twice": {head + "maxPods: 1\nmaxPods: 2\n", "x.conf: "},
	} {
		_, err := Merge(Configuration(single(), inputs()), []DropIn{{Path: "x.conf", Data: []byte(c.text)}})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestReadDropIns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"20-b.conf", "10-a.conf", "notes.txt", "30/c.conf"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := ReadDropIns(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range found {
		names = append(names, string(d.Data))
	}
	if diff := cmp.Diff([]string{"10-a.conf", "20-b.conf", "30/c.conf"}, names); diff != "" {
		t.Error(diff)
	}
	if none, err := ReadDropIns(filepath.Join(dir, "absent")); err != nil || len(none) != 0 {
		t.Errorf("a directory that does not exist: %v, %v", none, err)
	}
}
