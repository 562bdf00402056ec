package kubelet

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/kubernetes/cmd/kubelet/app/options"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/tests/guide"
)

const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"

// The guide's configuration as it stands is refused, line by line, for what is kelp's,
// for what is no field of the kubelet's, for a gate that is gone, and for cgroups that
// it does not name. All the rest is in force.
func TestGuideConfiguration(t *testing.T) {
	t.Parallel()
	in := inputs()
	in.CgroupDriver = "systemd" // as the guide's containerd has it
	block := guide.Block("kubelet.yaml")
	_, err := Merge(Configuration(single(), in), []DropIn{{Path: "guide.conf", Data: []byte(block)}})
	want := `guide.conf:83: metricsBindAddress is a field of kube-proxy; the kubelet's metrics are on its own port
guide.conf:16: authentication.x509.clientCAFile is set by kelp; its certificates are kelp's: see kelp certificate
guide.conf:75: tlsCertFile is set by kelp; its certificates are kelp's: see kelp certificate
guide.conf:76: tlsPrivateKeyFile is set by kelp; its certificates are kelp's: see kelp certificate
guide.conf:27: containerRuntimeEndpoint is set by kelp; the embedded containerd is used, and configured with containerd.configDir
guide.conf:67: logging is set by kelp; there is one log: set log.level and log.format
guide.conf:73: feature gate PodSecurity was removed in v1.28: pod security admission is always on
guide.conf:36: enforceNodeAllocatable: kube-reserved needs kubeReservedCgroup, the cgroup that may have no more; without it in the list the reservation is kept from pods all the same
guide.conf:36: enforceNodeAllocatable: system-reserved needs systemReservedCgroup, the cgroup that may have no more; without it in the list the reservation is kept from pods all the same`
	if err == nil || err.Error() != want {
		t.Fatalf("got\n%v\nwant\n%s", err, want)
	}
	rest := guide.Without(block, "metricsBindAddress", "x509:", "clientCAFile", "tlsCertFile", "tlsPrivateKeyFile", "containerRuntimeEndpoint",
		"logging:", "format: json", "verbosity: 2", "PodSecurity", "- kube-reserved", "- system-reserved")
	server, merged, err := Server(single(), in, []DropIn{{Path: "guide.conf", Data: []byte(rest)}})
	if err != nil {
		t.Fatal(err)
	}
	if merged.TLSCertFile != in.Serving.Cert || merged.Authentication.X509.ClientCAFile != in.ClientCA {
		t.Errorf("kelp's certificates: %+v", merged)
	}
	for what, as := range map[string]bool{
		"the webhooks' caches": server.Authentication.Webhook.CacheTTL.Minutes() == 2 && server.Authorization.Webhook.CacheUnauthorizedTTL.Seconds() == 30,
		"the cluster's DNS":    slices.Equal(server.ClusterDNS, []string{"10.96.0.10"}),
		"reservations":         server.KubeReserved["memory"] == "128Mi" && server.SystemReserved["ephemeral-storage"] == "1Gi" && slices.Equal(server.EnforceNodeAllocatable, []string{"pods"}),
		"evictions":            server.EvictionHard["nodefs.available"] == "10%" && server.EvictionSoftGracePeriod["memory.available"] == "1m30s" && server.EvictionMaxPodGracePeriod == 90,
		"images":               server.ImageMinimumGCAge.Minutes() == 2 && server.ImageGCHighThresholdPercent == 85 && server.ImageGCLowThresholdPercent == 80,
		"a feature gate":       server.FeatureGates["RotateKubeletServerCertificate"],
		"cipher suites":        len(server.TLSCipherSuites) == 2,
		"volume plugins":       server.VolumePluginDir == "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/",
		"status":               server.NodeStatusUpdateFrequency.Seconds() == 10 && server.NodeStatusReportFrequency.Minutes() == 5,
		"shutdown":             server.ShutdownGracePeriod.Seconds() == 30 && server.ShutdownGracePeriodCriticalPods.Seconds() == 10,
		"cgroups":              server.CgroupDriver == "systemd" && server.CgroupRoot == "/" && server.CgroupsPerQOS,
	} {
		if !as {
			t.Errorf("the guide's settings of %s are not in force: %+v", what, server.KubeletConfiguration)
		}
	}
}

// The guide's command line of a kubelet is that of one that has to ask for its
// certificate.
func TestGuideBootstrap(t *testing.T) {
	t.Parallel()
	var flags []string
	for word := range strings.FieldsSeq(guide.Block("kubelet-bootstrap.sh")) {
		if strings.HasPrefix(word, "--") {
			flags = append(flags, word)
		}
	}
	cfg := single()
	cfg.Args.Kubelet = flags
	_, err := Args(cfg, inputs())
	want := `kubelet argument "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf": bootstrap-kubeconfig is not for kelp: its certificates are issued before it starts
kubelet argument "--config=/var/lib/kubelet/config.yaml": config is set by kelp; put a drop-in into kubelet.configDir instead
kubelet argument "--kubeconfig=/etc/kubernetes/kubelet.conf": kubeconfig is set by kelp; the certificates of the node are made for it`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"a typing error":      {head + "maxpods: 3\n", `x.conf:3: KubeletConfiguration has no field "maxpods"; did you mean maxPods?`},
		"a nested one":        {head + "authentication:\n  anonymous:\n    enable: true\n", `x.conf:5: KubeletConfiguration has no field "authentication.anonymous.enable"`},
		"a removed one":       {head + "podInfraContainerImage: x\n", "x.conf:3: podInfraContainerImage is gone; the pause image is embedded"},
		"a renewal":           {head + "rotateCertificates: true\n", "x.conf:3: rotateCertificates is set by kelp; its client certificate is renewed by kelp"},
		"another driver":      {head + "cgroupDriver: cgroupfs\n", "x.conf:3: cgroupDriver is set by kelp; it is containerd's"},
		"another kind":        {"apiVersion: v1\nkind: Pod\n", "x.conf:1: apiVersion and kind must be kubelet.config.k8s.io/v1beta1 and KubeletConfiguration"},
		"an unknown gate":     {head + "featureGates:\n  NoSuchGate: true\n", "x.conf:4: there is no feature gate NoSuchGate"},
		"a wrong type":        {head + "maxPods: many\n", "x.conf:3: maxPods: a string where int32 was expected"},
		"a key that is twice": {head + "maxPods: 1\nmaxPods: 2\n", "x.conf:4: "},
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

// A graceful shutdown is held back through logind; without it the setting would be a
// word and no more.
func TestGracefulShutdownNeedsLogind(t *testing.T) {
	t.Parallel()
	const byPriority = head + "shutdownGracePeriodByPodPriority:\n- {priority: 0, shutdownGracePeriodSeconds: 20}\n"
	for text, needed := range map[string]bool{head: false, head + "shutdownGracePeriod: 30s\nshutdownGracePeriodCriticalPods: 10s\n": true, byPriority: true} {
		server, _, err := Server(single(), inputs(), []DropIn{{Path: "x.conf", Data: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		err = graceful(server, func(path string) bool { return path != "/run/dbus/system_bus_socket" })
		if (err != nil) != needed || needed && !strings.Contains(err.Error(), "/run/dbus/system_bus_socket") {
			t.Errorf("%s: without D-Bus: %v", text, err)
		}
		if err := graceful(server, func(string) bool { return true }); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What is said to be gone and is there again would be refused for nothing.
func TestWhatIsGoneIsGone(t *testing.T) {
	t.Parallel()
	fields := reflect.TypeFor[kubeletv1beta1.KubeletConfiguration]()
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		if what, gone := removedFields[name]; gone {
			t.Errorf("the kubelet has the field %s, of which is said that it %s", name, what)
		}
	}
	flags := flagSet(options.NewKubeletFlags(), nil)
	for name, r := range removedFlags {
		if flags.Lookup(name) != nil {
			t.Errorf("the kubelet has the flag %s, which is said to be removed in %s", name, r.release)
		}
	}
	for gate := range utilfeature.DefaultMutableFeatureGate.GetAll() {
		if err := args.GoneGate(string(gate)); err != nil {
			t.Errorf("there is the feature gate %s: %v", gate, err)
		}
	}
	for _, f := range ownedFields {
		if step, _, _ := strings.Cut(f.field, "."); !slices.ContainsFunc(reflect.VisibleFields(fields), func(x reflect.StructField) bool {
			name, _, _ := strings.Cut(x.Tag.Get("json"), ",")
			return name == step
		}) {
			t.Errorf("the kubelet has no field %s, which is said to be kelp's", f.field)
		}
	}
}
