package config

import (
	"os"
	"path/filepath"
	"testing"
)

// Components look at their arguments late, and each has the line that it stands on.
func TestArgumentsHaveLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, more := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "config.yaml.d", "10.yaml")
	if err := os.Mkdir(filepath.Dir(more), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		path: "args:\n  apiserver:\n  - kube-apiserver\n  # as a pod has it\n  - --insecure-port=0\n  kubelet: [a=1]\nkube-proxy-arg: [b=1, b=2]\n",
		more: "args:\n  apiserver+:\n  - --profiling=true\nkube-proxy-arg:\n- c=1\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, origins, err := Load(LoadOptions{File: path, Flags: map[string][]string{"kubelet-arg": {"d=1"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ component, argument, want string }{
		{"kube-apiserver", "--insecure-port=0", path + ":5"},
		{"kube-apiserver", "--profiling=true", more + ":3"},
		{"kube-proxy", "c=1", more + ":5"},
		{"kube-proxy", "b=1", ""}, // replaced
		{"kubelet", "d=1", "--kubelet-arg"},
		{"etcd", "e=1", ""},
	} {
		if got := origins.Argument(cfg, c.component, c.argument); got != c.want {
			t.Errorf("%s of %s is said to be at %q, want %q", c.argument, c.component, got, c.want)
		}
	}
}
