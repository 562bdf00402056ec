package controllermanager

import (
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/guide"
)

// The guide's command as it stands is refused for what is gone and for what is kelp's.
func TestGuideCommandIsRefusedByName(t *testing.T) {
	t.Parallel()
	cfg := sample(guide.Command("kube-controller-manager.yaml")...)
	_, err := New(cfg, Inputs{Paths: cfg.Paths()}).Merged()
	if err == nil {
		t.Fatal("it was accepted")
	}
	const certs, elected = "its certificates are kelp's: see kelp certificate", "one lease of kelp's decides for all components on which server they run"
	want := []string{
		`"--authentication-kubeconfig=/etc/kubernetes/controller-manager.conf": authentication-kubeconfig is set by kelp; ` + certs,
		`"--authorization-kubeconfig=/etc/kubernetes/controller-manager.conf": authorization-kubeconfig is set by kelp; ` + certs,
		`"--client-ca-file=/etc/kubernetes/pki/ca.crt": client-ca-file is set by kelp; ` + certs,
		`"--kubeconfig=/etc/kubernetes/controller-manager.conf": kubeconfig is set by kelp; ` + certs,
		`"--leader-elect-lease-duration=15s": leader-elect-lease-duration is not for kelp: ` + elected,
		`"--leader-elect-renew-deadline=10s": leader-elect-renew-deadline is not for kelp: ` + elected,
		`"--leader-elect-retry-period=2s": leader-elect-retry-period is not for kelp: ` + elected,
		`"--leader-elect=true": leader-elect is set by kelp; ` + elected,
		`"--pod-eviction-timeout=5m0s": pod-eviction-timeout was removed in v1.27; set default-not-ready-toleration-seconds and default-unreachable-toleration-seconds for kube-apiserver`,
		`"--port=0": port was removed in v1.24; use secure-port`,
		`"--requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt": requestheader-client-ca-file is set by kelp; ` + certs,
		`"--root-ca-file=/etc/kubernetes/pki/ca.crt": root-ca-file is set by kelp; its authorities are kelp's: see kelp certificate`,
		`"--service-account-private-key-file=/etc/kubernetes/pki/sa.key": service-account-private-key-file is set by kelp; its authorities are kelp's: see kelp certificate`,
	}
	if got := strings.ReplaceAll(err.Error(), "kube-controller-manager argument ", ""); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// guideRefused are the flags of the guide's command that TestGuideCommandIsRefusedByName
// names.
var guideRefused = []string{
	"authentication-kubeconfig", "authorization-kubeconfig", "client-ca-file", "kubeconfig", "leader-elect-lease-duration", "leader-elect-renew-deadline",
	"leader-elect-retry-period", "leader-elect", "pod-eviction-timeout", "port", "requestheader-client-ca-file", "root-ca-file", "service-account-private-key-file",
}

// All the rest is in force.
func TestGuideCommand(t *testing.T) {
	t.Parallel()
	cfg := sample(guide.Keep(guide.Command("kube-controller-manager.yaml"), guideRefused...)...)
	opts, all, set, err := New(cfg, Inputs{Paths: cfg.Paths()}).options()
	if err != nil {
		t.Fatal(err)
	}
	if err := all.Parse(set); err != nil {
		t.Fatal(err)
	}
	for what, as := range map[string]bool{
		"the port":        opts.SecureServing.BindPort == 10257 && opts.SecureServing.BindAddress.String() == "127.0.0.1",
		"the nodes":       opts.NodeLifecycleController.NodeMonitorGracePeriod.Seconds() == 40 && opts.NodeLifecycleController.NodeMonitorPeriod.Seconds() == 5 && opts.NodeLifecycleController.UnhealthyZoneThreshold == 0.55,
		"concurrency":     opts.DeploymentController.ConcurrentDeploymentSyncs == 5 && opts.ReplicaSetController.ConcurrentRSSyncs == 5 && opts.ResourceQuotaController.ConcurrentResourceQuotaSyncs == 5 && opts.SAController.ConcurrentSATokenSyncs == 5,
		"garbage":         opts.GarbageCollectorController.EnableGarbageCollector && opts.GarbageCollectorController.ConcurrentGCSyncs == 20,
		"the controllers": strings.Join(opts.Generic.Controllers, ",") == "*,tokencleaner,bootstrapsigner",
	} {
		if !as {
			t.Errorf("the guide's settings of %s are not in force: %v", what, set.Render())
		}
	}
}
