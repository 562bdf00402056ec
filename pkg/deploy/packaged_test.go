package deploy

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	aggregator "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/manifests"
	"github.com/kelp-project/kelp/pkg/config"
)

// validName is a DNS subdomain, which objects' names are.
var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

func completed(t *testing.T, change func(*config.Config)) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	change(&cfg)
	cfg, err := cfg.Complete(config.Host{Name: "one", IPv4: netip.MustParseAddr("192.0.2.1"), IPv6: netip.MustParseAddr("2001:db8::1")})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Every packaged manifest, as it is written for a cluster of one family or of
// two, has only fields that the API knows.
func TestPackagedManifestsAreStrictlyValid(t *testing.T) {
	t.Parallel()
	kinds := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensions.AddToScheme, aggregator.AddToScheme} {
		if err := add(kinds); err != nil {
			t.Fatal(err)
		}
	}
	strict := serializer.NewCodecFactory(kinds, serializer.EnableStrict).UniversalDeserializer()
	for name, change := range map[string]func(*config.Config){
		"single": func(*config.Config) {},
		"dual": func(c *config.Config) {
			c.Network.ClusterCIDRs = []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd42::/48")}
			c.Network.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16"), netip.MustParsePrefix("fd43::/108")}
		},
	} {
		cfg := completed(t, change)
		if err := writePackaged(cfg); err != nil {
			t.Fatal(err)
		}
		files, err := scan(cfg.Paths().Manifests)
		if err != nil || len(files) < 6 {
			t.Fatalf("%s: %d manifests were written, %v", name, len(files), err)
		}
		for _, f := range files {
			docs, err := Parse(f.Path, f.Data)
			if err != nil || len(docs) == 0 {
				t.Errorf("%s: %s: %d documents, %v", name, f.Path, len(docs), err)
			}
			for _, d := range docs {
				checkStrictly(t, strict, f.Path, d)
			}
		}
	}
}

func checkStrictly(t *testing.T, strict runtime.Decoder, path string, d Document) {
	t.Helper()
	text, err := yaml.Marshal(d.Object.Object)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := strict.Decode(text, nil, nil); err != nil {
		t.Errorf("%s, line %d: %s: %v", path, d.Line, refOf(d.Object), err)
	}
	for _, image := range imagesOf(d.Object) {
		if !strings.HasPrefix(image, "kelp.local/") {
			t.Errorf("%s, line %d: image %s is not one that kelp carries", path, d.Line, image)
		}
	}
}

func imagesOf(o *unstructured.Unstructured) []string {
	var images []string
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	for _, c := range containers {
		if m, ok := c.(map[string]any); ok {
			image, _ := m["image"].(string)
			images = append(images, image)
		}
	}
	return images
}

// What --disable takes has a manifest, or runs in kelp itself.
func TestEveryPackagedComponentCanBeDisabled(t *testing.T) {
	t.Parallel()
	inside := []string{"servicelb", config.NetworkPolicy}
	for _, name := range config.Packaged {
		if _, err := fs.Stat(manifests.FS, name+".yaml"); err != nil && !slices.Contains(inside, name) {
			t.Errorf("--disable=%s has nothing to remove: %v", name, err)
		}
	}
}

func TestWritePackaged(t *testing.T) {
	t.Parallel()
	cfg := completed(t, func(*config.Config) {})
	if err := writePackaged(cfg); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(cfg.Paths().Manifests, name) }
	if err := os.WriteFile(at("coredns.yaml"), []byte("edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("runtimes.yaml"), []byte("edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("runtimes.yaml.skip"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Components.Disable = []string{"metrics-server"}
	if err := writePackaged(cfg); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(at("coredns.yaml")); err != nil || string(text) == "edited" {
		t.Errorf("an edited packaged manifest stays as it is: %v", err)
	}
	if text, err := os.ReadFile(at("runtimes.yaml")); err != nil || string(text) != "edited" {
		t.Errorf("a packaged manifest with .skip was written: %q, %v", text, err)
	}
	if _, err := os.Stat(at("metrics-server.yaml")); err == nil {
		t.Error("a disabled component's manifest is still there")
	}
	if !isPackaged("coredns.yaml") || isPackaged("my.yaml") || isPackaged("apps/coredns.yaml") {
		t.Error("isPackaged")
	}
}

func TestExpandRefusesUnknownVariables(t *testing.T) {
	t.Parallel()
	if got, err := expand("a ${A} $B ${c}", map[string]string{"A": "1"}); err != nil || got != "a 1 $B ${c}" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := expand("${A} ${B}", map[string]string{"A": "1"}); err == nil || !strings.Contains(err.Error(), "B") {
		t.Errorf("%v", err)
	}
}
