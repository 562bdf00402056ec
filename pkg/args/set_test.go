package args

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() *Set {
	s := NewSet("kube-sample")
	s.Default("profiling", "false")
	s.Config("service-cluster-ip-range", "10.43.0.0/16", "fd43::/112")
	s.Append("enable-admission-plugins", "NodeRestriction")
	s.Owned("etcd-servers", "unix:///x.sock", "set datastore.kind instead")
	s.Removed("insecure-port", "v1.24", "use the one TLS port")
	s.Refused("auto-tls", "certificates are kelp's")
	s.Suggest("audit-policy-file", "event-ttl", "service-account-issuer")
	return s
}

func knownSample(name string) bool {
	return slices.Contains([]string{
		"profiling", "service-cluster-ip-range", "enable-admission-plugins", "etcd-servers",
		"audit-policy-file", "event-ttl", "service-account-issuer", "concurrent_rc_syncs",
	}, name)
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		user []string
		want []string
	}{
		{"nothing", nil, []string{
			"--enable-admission-plugins=NodeRestriction", "--etcd-servers=unix:///x.sock",
			"--profiling=false", "--service-cluster-ip-range=10.43.0.0/16,fd43::/112",
		}},
		{"replaced, by a switch and with dashes in front", []string{"--profiling"}, []string{
			"--enable-admission-plugins=NodeRestriction", "--etcd-servers=unix:///x.sock",
			"--profiling=true", "--service-cluster-ip-range=10.43.0.0/16,fd43::/112",
		}},
		{"appended once each", []string{"enable_admission_plugins=NodeRestriction,EventRateLimit"}, []string{
			"--enable-admission-plugins=NodeRestriction,EventRateLimit", "--etcd-servers=unix:///x.sock",
			"--profiling=false", "--service-cluster-ip-range=10.43.0.0/16,fd43::/112",
		}},
		{"a pod's command, and what is there already", []string{"kube-sample", "--etcd-servers=unix:///x.sock"}, []string{
			"--enable-admission-plugins=NodeRestriction", "--etcd-servers=unix:///x.sock",
			"--profiling=false", "--service-cluster-ip-range=10.43.0.0/16,fd43::/112",
		}},
		{"named with underscores by upstream", []string{"concurrent_rc_syncs=7"}, []string{
			"--concurrent_rc_syncs=7", "--enable-admission-plugins=NodeRestriction", "--etcd-servers=unix:///x.sock",
			"--profiling=false", "--service-cluster-ip-range=10.43.0.0/16,fd43::/112",
		}},
		{"new and repeated, in the user's order", []string{"service-account-issuer=b", "service-account-issuer=a", "event-ttl=2h=x"}, []string{
			"--enable-admission-plugins=NodeRestriction", "--etcd-servers=unix:///x.sock", "--event-ttl=2h=x",
			"--profiling=false", "--service-account-issuer=b", "--service-account-issuer=a",
			"--service-cluster-ip-range=10.43.0.0/16,fd43::/112",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := sample()
			if err := s.Merge(tc.user, knownSample); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, s.Render()); diff != "" {
				t.Errorf("rendered (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"etcd-servers=x":   `kube-sample argument "etcd-servers=x": etcd-servers is set by kelp; set datastore.kind instead`,
		"insecure-port=0":  `kube-sample argument "insecure-port=0": insecure-port was removed in v1.24; use the one TLS port`,
		"auto-tls":         `kube-sample argument "auto-tls": auto-tls is not for kelp: certificates are kelp's`,
		"evnet-ttl=1h":     `kube-sample argument "evnet-ttl=1h": there is no evnet-ttl; did you mean event-ttl?`,
		"audit-policy=/x":  `kube-sample argument "audit-policy=/x": there is no audit-policy; did you mean audit-policy-file?`,
		"etcd-server=x":    `kube-sample argument "etcd-server=x": there is no etcd-server`,
		"colour=blue":      `kube-sample argument "colour=blue": there is no colour`,
		"=x":               `kube-sample argument "=x": write it as name=value`,
		"---profiling=1":   `kube-sample argument "---profiling=1": write it as name=value`,
		"profilng":         `kube-sample argument "profilng": there is no profilng; did you mean profiling?`,
		"service-account-": `kube-sample argument "service-account-": there is no service-account-`,
	} {
		err := sample().Merge([]string{arg}, knownSample)
		if err == nil || err.Error() != want {
			t.Errorf("merge %q:\n got %v\nwant %s", arg, err, want)
		}
	}
}

func TestMergeReportsAllProblemsSorted(t *testing.T) {
	t.Parallel()
	err := sample().Merge([]string{"insecure-port=0", "profiling=true", "colour=blue"}, knownSample)
	want := `kube-sample argument "colour=blue": there is no colour
kube-sample argument "insecure-port=0": insecure-port was removed in v1.24; use the one TLS port`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestEntriesSayWhoSaidWhat(t *testing.T) {
	t.Parallel()
	s := sample()
	if err := s.Merge([]string{"profiling=true", "enable-admission-plugins=EventRateLimit"}, knownSample); err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Key: "enable-admission-plugins", Policy: PolicyAppend, Values: []Value{{"NodeRestriction", FromDefault}, {"EventRateLimit", FromUser}}},
		{Key: "etcd-servers", Policy: PolicyOwned, Values: []Value{{"unix:///x.sock", FromConfig}}, Advice: "set datastore.kind instead"},
		{Key: "profiling", Policy: PolicyDefault, Values: []Value{{"true", FromUser}}, Replaced: []string{"false"}},
		{Key: "service-cluster-ip-range", Policy: PolicyDefault, Values: []Value{{"10.43.0.0/16", FromConfig}, {"fd43::/112", FromConfig}}},
	}
	if diff := cmp.Diff(want, s.Entries()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
