package apiserver

import (
	"net/netip"
	"strings"
	"testing"

	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/internal/flags"
	"github.com/kelp-project/kelp/pkg/internal/golden"
)

func sample() config.Config {
	cfg := config.Default()
	cfg.DataDir = "/var/lib/kelp"
	cfg.Node.Name = "one"
	cfg.API.HTTPSPort = 6443
	cfg.API.AdvertiseAddress = netip.MustParseAddr("192.0.2.10")
	cfg.Network.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}
	cfg.Network.ClusterDomain = "cluster.local"
	return cfg
}

var (
	sqlite = Datastore{URLs: []string{"unix:///run/kelp/kine.sock"}}
	etcd   = Datastore{URLs: []string{"https://127.0.0.1:2379"}, CAFile: "/ca", CertFile: "/cert", KeyFile: "/key"}
)

func TestArgs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		store  Datastore
		change func(*config.Config)
	}{
		"sqlite": {sqlite, func(*config.Config) {}},
		"etcd":   {etcd, func(*config.Config) {}},
		"dual-stack": {sqlite, func(c *config.Config) {
			c.Network.ServiceCIDRs = append(c.Network.ServiceCIDRs, netip.MustParsePrefix("fd43::/112"))
		}},
		"debug and bound": {sqlite, func(c *config.Config) {
			c.Debug = true
			c.API.BindAddress = netip.MustParseAddr("192.0.2.10")
			c.API.HTTPSPort = 7443
		}},
		"user": {sqlite, func(c *config.Config) {
			c.Args.APIServer = []string{
				"--event-ttl=2h", "profiling", "enable-admission-plugins=EventRateLimit", "feature-gates=InPlacePodVerticalScaling=false",
				"service-account-issuer=https://b", "service-account-issuer=https://a", "audit_log_path=/var/log/audit.log",
			}
			c.Args.Kubelet = []string{"feature-gates=KubeletPSI=false"}
		}},
		"user oidc":           {sqlite, func(c *config.Config) { c.Args.APIServer = []string{"oidc-issuer-url=https://id"} }},
		"user authentication": {sqlite, func(c *config.Config) { c.Args.APIServer = []string{"authentication-config=/etc/a.yaml"} }},
		"user authorization":  {sqlite, func(c *config.Config) { c.Args.APIServer = []string{"authorization-config=/etc/a.yaml"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := sample()
			tc.change(&cfg)
			set, err := New(cfg, Inputs{Paths: cfg.Paths(), Datastore: tc.store}).Merged()
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, strings.ReplaceAll(name, " ", "-")+".args.golden", []byte(strings.Join(set.Render(), "\n")+"\n"))
		})
	}
}

func TestArgsRefuse(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"etcd-servers=x":      "etcd-servers is set by kelp; set datastore.kind, or datastore.endpoint and the files beside it",
		"secure-port=1":       "secure-port is set by kelp; set api.httpsPort instead",
		"insecure-port=0":     "insecure-port was removed in v1.24; the API is served over TLS only; set api.httpsPort",
		"audit-policy=/x":     "there is no audit-policy; did you mean audit-policy-file?",
		"logging-format=json": "logging-format is not for kelp: logs are kelp's; set log.level and log.format",
		"logtostderr=true":    "logtostderr was removed in v1.26; set log.level and log.format",
		"feature-gates=X":     `kube-apiserver argument "feature-gates=X": write "X" as Name=true or Name=false`,
	} {
		cfg := sample()
		cfg.Args.APIServer = []string{arg}
		_, err := New(cfg, Inputs{Paths: cfg.Paths(), Datastore: sqlite}).Merged()
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v, want …%s", arg, err, want)
		}
	}
}

func TestGatesOfOneProcessMustAgree(t *testing.T) {
	t.Parallel()
	cfg := sample()
	cfg.Args.APIServer = []string{"feature-gates=A=true"}
	cfg.Args.Scheduler = []string{"feature-gates=A=false"}
	_, err := New(cfg, Inputs{Paths: cfg.Paths(), Datastore: sqlite}).Merged()
	want := `kube-scheduler argument "feature-gates=A=false": ` + "feature gate A is true for kube-apiserver and false for kube-scheduler: there is one set of gates for all components"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// TestEveryArgumentIsAFlag catches names that upstream renames or drops, and
// removed ones that are none.
func TestEveryArgumentIsAFlag(t *testing.T) {
	t.Parallel()
	all := flags.Of("kube-apiserver", options.NewServerRunOptions().Flags())
	cfg := sample()
	set := Args(cfg, cfg.Paths(), etcd, []string{"A=true"})
	for _, e := range set.Entries() {
		if !all.Has(e.Key) {
			t.Errorf("kube-apiserver has no %s", e.Key)
		}
	}
	for name, r := range set.Removals() {
		if r.Release != "" && all.Has(name) {
			t.Errorf("%s is said to be removed in %s, but it is there", name, r.Release)
		}
	}
}
