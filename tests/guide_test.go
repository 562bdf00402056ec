//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/tests/guide"
	"github.com/kelp-project/kelp/tests/hosts"
)

const guidePause = "k8s.gcr.io/pause:3.9"

// guidePolicy is the file that the guide's API server names and does not show.
const guidePolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, resources: [{group: "", resources: [events]}]}
- {level: RequestResponse, verbs: [create], resources: [{group: "", resources: [pods]}]}
- {level: Metadata}
`

// guideAsItStands are the guide's blocks where kelp reads them, word for word.
func guideAsItStands() map[string]string {
	return map[string]string{
		configFile:                               guideConfig(guide.Command("kube-apiserver.yaml"), guide.Command("kube-controller-manager.yaml"), guide.Command("etcd.yaml")),
		"/etc/kubernetes/audit-policy.yaml":      guidePolicy,
		"/etc/kubernetes/scheduler.yaml":         guide.Block("kube-scheduler.yaml"),
		"/etc/kelp/kubelet.conf.d/guide.conf":    guide.Block("kubelet.yaml"),
		"/etc/kelp/containerd.conf.d/guide.toml": guide.Block("containerd.toml"),
	}
}

// guideMended are the same without what kelp refuses, as it says.
func guideMended() map[string]string {
	mended := guideAsItStands()
	mended[configFile] = guideConfig(
		guide.Keep(guide.Command("kube-apiserver.yaml"), "bind-address", "client-ca-file", "etcd-cafile", "etcd-certfile", "etcd-keyfile", "etcd-servers", "insecure-port",
			"kubelet-certificate-authority", "kubelet-client-certificate", "kubelet-client-key", "proxy-client-cert-file", "proxy-client-key-file",
			"requestheader-allowed-names", "requestheader-client-ca-file", "service-account-key-file", "service-account-signing-key-file", "tls-cert-file", "tls-private-key-file"),
		guide.Keep(guide.Command("kube-controller-manager.yaml"), "authentication-kubeconfig", "authorization-kubeconfig", "client-ca-file", "kubeconfig",
			"leader-elect-lease-duration", "leader-elect-renew-deadline", "leader-elect-retry-period", "leader-elect", "pod-eviction-timeout", "port",
			"requestheader-client-ca-file", "root-ca-file", "service-account-private-key-file"),
		guide.Keep(guide.Command("etcd.yaml"), "advertise-client-urls", "cert-file", "data-dir", "initial-advertise-peer-urls", "initial-cluster", "key-file",
			"listen-client-urls", "listen-peer-urls", "name", "peer-cert-file", "peer-key-file", "peer-trusted-ca-file", "trusted-ca-file"))
	const scheduler, kubelet, containerd = "/etc/kubernetes/scheduler.yaml", "/etc/kelp/kubelet.conf.d/guide.conf", "/etc/kelp/containerd.conf.d/guide.toml"
	mended[scheduler] = strings.NewReplacer("/v1beta3", "/v1", "      defaultConstraints:", "      defaultingType: List\n      defaultConstraints:").
		Replace(guide.Without(mended[scheduler], "disabled:", "NodeResourcesLeastAllocated"))
	mended[kubelet] = guide.Without(mended[kubelet], "metricsBindAddress", "x509:", "clientCAFile", "tlsCertFile", "tlsPrivateKeyFile",
		"containerRuntimeEndpoint", "logging:", "format: json", "verbosity: 2", "PodSecurity", "- kube-reserved", "- system-reserved")
	mended[containerd] = guide.Without(mended[containerd], "[grpc]", "address =", "registry", "conf_dir")
	return mended
}

// guideConfig is kelp's configuration with the guide's commands and ranges of addresses.
func guideConfig(apiserver, controllerManager, etcd []string) string {
	text := `datastore: {kind: etcd}
network:
  clusterCIDRs: [10.244.0.0/16]
  serviceCIDRs: [10.96.0.0/12]
args:
  scheduler: [--config=/etc/kubernetes/scheduler.yaml]
`
	for _, of := range []struct {
		name    string
		command []string
	}{{"apiserver", apiserver}, {"controllerManager", controllerManager}, {"etcd", etcd}} {
		text += "  " + of.name + ":\n"
		for _, flag := range of.command {
			text += "  - " + strconv.Quote(flag) + "\n"
		}
	}
	return text
}

func (s *server) writeAll(t *testing.T, files map[string]string) {
	t.Helper()
	for path, text := range files {
		s.write(t, path, text)
	}
}

// All settings of the guide are on one host at once: what is refused is refused by name
// and place, and what is left does what it says.
func TestGuide(t *testing.T) {
	t.Parallel()
	s := ownServer(t, specNamed("guide"), "")
	t.Run("as it stands", s.guideIsRefused)
	files := guideMended()
	drop := files["/etc/kelp/containerd.conf.d/guide.toml"]
	// Its pause image is not to be had offline: it is given kelp's under that name, once
	// containerd runs.
	files["/etc/kelp/containerd.conf.d/guide.toml"] = guide.Without(drop, guidePause)
	s.writeAll(t, files)
	t.Logf("ready after %s", s.start(t).Round(10*time.Millisecond))
	t.Run("kubelet", s.guideKubelet)
	t.Run("control plane", s.guideControlPlane)
	t.Run("etcd", s.guideEtcd)
	t.Run("audit", s.guideAudit)
	t.Run("objects", s.guideObjects)
	s.run(t, "kelp ctr -n k8s.io images tag kelp.local/pause:v1.0.0 "+guidePause)
	s.write(t, "/etc/kelp/containerd.conf.d/guide.toml", drop)
	t.Run("shutdown", s.guideShutdown)
	t.Run("containerd", s.guideContainerd)
}

func (s *server) guideIsRefused(t *testing.T) {
	s.writeAll(t, guideAsItStands())
	r, err := s.Exec(t.Context(), "", hosts.KelpPath, "server")
	if err != nil || r.Code != 1 {
		t.Fatalf("exit status %d, %v:\n%s%s", r.Code, err, r.Stdout, r.Stderr)
	}
	line := func(text, of string) string {
		return strconv.Itoa(1 + strings.Count(text[:strings.Index(text, of)], "\n"))
	}
	config := guideAsItStands()[configFile]
	for _, want := range []string{
		configFile + ":" + line(config, "insecure-port") + `: kube-apiserver argument "--insecure-port=0": insecure-port was removed in v1.24`,
		configFile + ":" + line(config, "pod-eviction") + `: kube-controller-manager argument "--pod-eviction-timeout=5m0s": pod-eviction-timeout was removed in v1.27`,
		configFile + ":" + line(config, "--data-dir") + `: etcd argument "--data-dir=/var/lib/etcd": data-dir is set by kelp; set dataDir instead`,
		"/etc/kubernetes/scheduler.yaml:1: kubescheduler.config.k8s.io/v1beta3 was removed in v1.29",
		"/etc/kubernetes/scheduler.yaml:18: plugin NodeResourcesLeastAllocated was removed in v1.23",
		"guide.conf:83: metricsBindAddress is a field of kube-proxy",
		"guide.toml:18: ",
	} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("it does not say %q:\n%s", want, r.Stderr)
		}
	}
	s.run(t, "! test -e /var/lib/kelp/server")
}

func (s *server) guideKubelet(t *testing.T) {
	var got struct {
		Kubeletconfig struct {
			CgroupDriver, ShutdownGracePeriod, ShutdownGracePeriodCriticalPods, VolumePluginDir string
			NodeStatusReportFrequency                                                           string
			ClusterDNS, EnforceNodeAllocatable                                                  []string
			EvictionHard, EvictionSoft, KubeReserved                                            map[string]string
			ImageGCHighThresholdPercent                                                         int
		}
	}
	text := s.kubectl(t, "get", "--raw", "/api/v1/nodes/"+s.Name+"/proxy/configz")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	c := got.Kubeletconfig
	if c.ShutdownGracePeriod != "30s" || c.ShutdownGracePeriodCriticalPods != "10s" || c.EvictionHard["imagefs.available"] != "15%" || c.EvictionSoft["memory.available"] != "300Mi" ||
		c.KubeReserved["memory"] != "128Mi" || c.ImageGCHighThresholdPercent != 85 || c.NodeStatusReportFrequency != "5m0s" || c.CgroupDriver != "systemd" ||
		!slices.Equal(c.ClusterDNS, []string{"10.96.0.10"}) || !strings.HasPrefix(c.VolumePluginDir, "/usr/libexec/") {
		t.Errorf("the kubelet's configuration is %+v", c)
	}
	node := s.node(t)
	kept := node.Status.Capacity.Cpu().MilliValue() - node.Status.Allocatable.Cpu().MilliValue()
	memory := node.Status.Capacity.Memory().Value() - node.Status.Allocatable.Memory().Value()
	if kept != 200 || memory != (128+128+100)<<20 || node.Status.Allocatable.Pods().Value() != 110 {
		t.Errorf("%d m and %d bytes are kept from pods, of which there may be %s", kept, memory, node.Status.Allocatable.Pods())
	}
	if node.Spec.PodCIDR != "10.244.0.0/24" || node.Labels["kubernetes.io/hostname"] != s.Name || node.Labels["kubernetes.io/os"] != "linux" {
		t.Errorf("the node's range is %s, and its labels are %v", node.Spec.PodCIDR, node.Labels)
	}
	s.awaitDeployments(t, "kube-system", 3, ready)
}

// configz is what a component of the control plane says of its configuration.
func (s *server) configz(t *testing.T, port int) string {
	t.Helper()
	return s.run(t, fmt.Sprintf(`umask 077; cd /root
for f in client-certificate client-key; do
	kelp kubectl config view --raw -o jsonpath="{.users[0].user.$f-data}" | base64 -d >$f
done
curl -sfk --max-time 10 --cert client-certificate --key client-key https://127.0.0.1:%d/configz`, port))
}

func (s *server) guideControlPlane(t *testing.T) {
	for _, want := range []string{`"NodeMonitorGracePeriod":"40s"`, `"ConcurrentGCSyncs":20`, `"ConcurrentDeploymentSyncs":5`, `"bootstrap-signer-controller"`} {
		if text := s.configz(t, 10257); !strings.Contains(text, want) {
			t.Errorf("the controller manager's configuration has no %s:\n%s", want, text)
		}
	}
	for _, want := range []string{`"schedulerName":"default-scheduler"`, `"schedulerName":"gpu-scheduler"`, `"nvidia.com/gpu"`} {
		if text := s.configz(t, 10259); !strings.Contains(text, want) {
			t.Errorf("the scheduler's configuration has no %s:\n%s", want, text)
		}
	}
	if text := s.kubectl(t, "api-versions"); !strings.Contains(text, "internal.apiserver.k8s.io/v1alpha1") {
		t.Errorf("not all APIs are there:\n%s", text)
	}
	if code, _ := s.asked(t, "/healthz", ""); code != "401" {
		t.Errorf("a stranger is answered %s", code)
	}
	s.apply(t, `{apiVersion: v1, kind: Pod, metadata: {name: gpu, labels: {app: gpu}}, spec: {schedulerName: gpu-scheduler, terminationGracePeriodSeconds: 1, containers: [{name: c, image: "kelp.local/busybox:v1.35.0", command: [sleep, "1000"]}]}}`)
	s.awaitPod(t, "default", "app=gpu", podUp)
	if by := s.kubectl(t, "get", "events", "--field-selector=involvedObject.name=gpu,reason=Scheduled", "-o", "jsonpath={.items[*].reportingComponent}{.items[*].source.component}"); !strings.Contains(by, "gpu-scheduler") {
		t.Errorf("the pod was scheduled by %q", by)
	}
}

func (s *server) guideEtcd(t *testing.T) {
	text := s.run(t, "curl -sf --max-time 10 --unix-socket /run/kelp/etcd-http.sock http://etcd/metrics")
	if !strings.Contains(text, "\netcd_server_quota_backend_bytes 2.147483648e+09\n") {
		t.Error("etcd's quota is another one")
	}
}

// guideAudit wants each request on the level that the policy has for it.
func (s *server) guideAudit(t *testing.T) {
	s.kubectl(t, "create", "configmap", "audited", "--from-literal=a=b")
	type event struct {
		Level         string
		Verb          string
		RequestObject json.RawMessage
		ObjectRef     struct{ Resource, Name string }
	}
	find := func(ctx context.Context, resource, name string) (event, error) {
		out, err := s.Run(ctx, "cat", "/var/log/audit.log")
		for line := range strings.Lines(out) {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil && e.ObjectRef.Resource == resource && e.ObjectRef.Name == name && e.Verb == "create" {
				return e, nil
			}
		}
		return event{}, fmt.Errorf("no creation of %s %s: %w", resource, name, err)
	}
	hosts.Eventually(t, soon, "the audit log has what was done", func(ctx context.Context) error {
		pod, err := find(ctx, "pods", "gpu")
		if err != nil {
			return err
		}
		plain, err := find(ctx, "configmaps", "audited")
		if err == nil && (pod.Level != "RequestResponse" || len(pod.RequestObject) == 0 || plain.Level != "Metadata" || len(plain.RequestObject) > 0) {
			err = fmt.Errorf("the pod is on level %s and the config map on %s", pod.Level, plain.Level)
		}
		return err
	})
	if _, err := find(t.Context(), "events", "x"); err == nil {
		t.Error("events are audited")
	}
}

// guideObjects wants the API to take each manifest of the guide, and what is made for
// servers to be for this one.
func (s *server) guideObjects(t *testing.T) {
	for _, name := range guide.Names() {
		// The scheduler's and the kubelet's are not the API's, one is without its images, and
		// the Node is what a kubelet says of itself, with a number for a machine's name.
		if strings.HasSuffix(name, ".yaml") && !slices.Contains([]string{"kubelet.yaml", "kube-scheduler.yaml", "kube-apiserver-ha.yaml", "node.yaml"}, name) {
			if _, err := s.RunInput(t.Context(), guide.Block(name), hosts.KelpPath, "kubectl", "create", "--dry-run=server", "--validate=strict", "-f", "-"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	s.apply(t, guide.Block("etcd-backup.yaml"))
	s.kubectl(t, "create", "job", "-n", "kube-system", "--from=cronjob/etcd-backup", "backup-now")
	hosts.Eventually(t, soon, "the job's pod has a node", func(ctx context.Context) error {
		pods, err := s.client(t).CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "job-name=backup-now"})
		if err == nil && (len(pods.Items) != 1 || pods.Items[0].Spec.NodeName != s.Name) {
			err = fmt.Errorf("%d pods: %+v", len(pods.Items), pods.Items)
		}
		return err
	})
	s.kubectl(t, "delete", "-n", "kube-system", "job/backup-now", "cronjob/etcd-backup", "--wait=false")
}
