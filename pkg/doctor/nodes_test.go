package doctor

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	"github.com/kelp-project/kelp/pkg/supervisor"
)

func TestNodes(t *testing.T) {
	t.Parallel()
	other := func(status corev1.ConditionStatus, message string, reach ...Reach) func(*Evidence) {
		return func(e *Evidence) {
			n := readyNode("b")
			n.Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: status, Message: message, LastHeartbeatTime: ago(5 * time.Minute)}
			e.Cluster.Nodes, e.Reach = append(e.Cluster.Nodes, n), reach
		}
	}
	pressed := func(kind corev1.NodeConditionType) func(*Evidence) {
		return func(e *Evidence) {
			n := &e.Cluster.Nodes[0]
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: kind, Status: corev1.ConditionTrue, Message: "kubelet has it"})
		}
	}
	version := func(v string) func(*Evidence) {
		return func(e *Evidence) { e.Cluster.Nodes[0].Status.NodeInfo.KubeletVersion = v }
	}
	for name, f := range map[string]fault{
		"silent, kelp is down there": {other(corev1.ConditionUnknown, "", Reach{Node: "b", Address: "10.0.0.9:10250", Err: "connect: connection refused"}), Problem, []string{"nodes: b is not ready: its kubelet has said nothing for 5m00s", "the machine is up, and kelp does not run on it", "on b: systemctl start kelp-agent;"}},
		"silent, a server": {func(e *Evidence) {
			other(corev1.ConditionUnknown, "", Reach{Node: "b", Address: "10.0.0.9:10250", Err: "connect: connection refused"})(e)
			e.Cluster.Nodes[len(e.Cluster.Nodes)-1].Labels = map[string]string{"node-role.kubernetes.io/control-plane": "true"}
		}, Problem, []string{"nodes: b", "on b: systemctl start kelp;"}},
		"silent, cut off":            {other(corev1.ConditionUnknown, "", Reach{Node: "b", Address: "10.0.0.9:10250", Err: "i/o timeout"}), Problem, []string{"nodes: b is not ready", "the machine is off, or the network to 10.0.0.9:10250 is cut: i/o timeout", "ping 10.0.0.9"}},
		"silent, and it answers":     {other(corev1.ConditionUnknown, "", Reach{Node: "b", Address: "10.0.0.9:10250"}), Problem, []string{"nodes: b", "takes connections on its kubelet's port: its kubelet hangs, or cannot write to the API"}},
		"silent, not tried":          {other(corev1.ConditionUnknown, ""), Problem, []string{"nodes: b", "the machine is off, kelp does not run on it, or the network is cut"}},
		"silent, of an IPv6 address": {other(corev1.ConditionUnknown, "", Reach{Node: "b", Address: "[fd00::9]:10250", Err: "i/o timeout"}), Problem, []string{"ping fd00::9"}},
		"its network is missing":     {other(corev1.ConditionFalse, "container runtime network not ready: cni plugin not initialized"), Problem, []string{"nodes: b is not ready: its kubelet says so", "the network of pods is not there", "on b: journalctl -u kelp-agent -n 50", "install your CNI plugin"}},
		"its containerd is missing":  {other(corev1.ConditionFalse, "container runtime is down"), Problem, []string{"nodes: b", "containerd does not answer: container runtime is down", "kelp crictl info"}},
		"this one": {func(e *Evidence) {
			e.Cluster.Nodes[0].Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, LastHeartbeatTime: ago(time.Minute)}
			e.Status.Components[3] = supervisor.Status{Name: "kubelet", State: supervisor.Degraded, LastError: "healthz fails"}
		}, Problem, []string{"nodes: main is not ready", "kubelet is degraded: healthz fails", "grep kubelet"}},
		"never heard of":    {func(e *Evidence) { e.Cluster.Nodes[0].Status.Conditions = nil }, Problem, []string{"nodes: main is not ready", "has not said anything yet"}},
		"disk":              {pressed(corev1.NodeDiskPressure), Problem, []string{"nodes: main is short of room on its disk", "kubelet has it", "on main: df -h"}},
		"memory":            {pressed(corev1.NodeMemoryPressure), Problem, []string{"nodes: main is short of memory"}},
		"cordoned":          {func(e *Evidence) { e.Cluster.Nodes[0].Spec.Unschedulable = true }, Warning, []string{"nodes: main takes no new pods", "kelp kubectl uncordon main"}},
		"a dead tunnel":     {func(e *Evidence) { e.Cluster.Tunnels["main"] = "no agent of that name is connected" }, Problem, []string{"nodes: the API server does not reach the kubelet of main", "no agent of that name is connected", "tunnel"}},
		"too new":           {version("v1.38.0"), Problem, []string{"nodes: main has v1.38.0, which is newer than this server's v1.37.2"}},
		"too old":           {version("v1.33.1"), Problem, []string{"nodes: main has v1.33.1, which is too old"}},
		"old":               {version("v1.34.1"), Good, []string{"nodes: 1 of 1 are ready"}},
		"a version of ours": {version("v0.0.0-master"), Problem, []string{"too old"}},
		"no version":        {version("dev"), Good, []string{"nodes: 1 of 1 are ready"}},
		"none":              {func(e *Evidence) { e.Cluster.Nodes = nil }, Problem, []string{"nodes: the cluster has no node"}},
	} {
		f.check(t, name)
	}
}

func TestNetworkAndDNS(t *testing.T) {
	t.Parallel()
	reach := func(list ...Reach) func(*Evidence) { return func(e *Evidence) { e.Reach = list } }
	dns := func(change func(*Evidence)) func(*Evidence) {
		return func(e *Evidence) { e.DNS.Err = "i/o timeout"; change(e) }
	}
	coredns := func(e *Evidence) *appsv1.Deployment { return &e.Cluster.Deployments[0] }
	for name, f := range map[string]fault{
		"all answer": {reach(Reach{Node: "b", Address: "10.0.0.9:10250"}, Reach{Node: "b", Address: "10.42.1.0:10250", Pods: true, Err: "connection refused"}), Good, []string{"network: 2 addresses"}},
		"a node is cut off": {reach(Reach{Node: "b", Address: "10.0.0.9:10250", Err: "i/o timeout"}, Reach{Node: "b", Address: "10.42.1.0:10250", Pods: true, Err: "i/o timeout"}), Problem,
			[]string{"network: node b cannot be reached at 10.0.0.9:10250", "10250/tcp"}},
		"a node behind a firewall": {func(e *Evidence) {
			e.Cluster.Tunnels["b"] = ""
			e.Reach = []Reach{{Node: "b", Address: "10.0.0.9:10250", Err: "i/o timeout"}, {Node: "b", Address: "10.42.1.0:10250", Pods: true}}
		}, Warning, []string{"network: node b cannot be reached at 10.0.0.9:10250; the API server reaches it through its tunnel"}},
		"pods are": {reach(Reach{Node: "b", Address: "10.0.0.9:10250"}, Reach{Node: "b", Address: "10.42.1.0:10250", Pods: true, Err: "i/o timeout"}), Problem,
			[]string{"network: node b is reached, and its pods are not, at 10.42.1.0:10250", "dropped between the nodes: i/o timeout", "8472/udp"}},
		"DNS is well":     {func(*Evidence) {}, Good, []string{"dns: 10.43.0.10 resolves kubernetes.default.svc.cluster.local"}},
		"slow DNS":        {func(e *Evidence) { e.DNS.Took = 3 * time.Second }, Warning, []string{"dns: 10.43.0.10 took 3s"}},
		"scaled to 0":     {dns(func(e *Evidence) { coredns(e).Spec.Replicas = ptr.To(int32(0)) }), Problem, []string{"dns: 10.43.0.10 does not resolve kubernetes", "somebody has scaled CoreDNS to 0", "scale deploy/coredns --replicas=1"}},
		"no pod is ready": {dns(func(e *Evidence) { coredns(e).Status.AvailableReplicas = 0 }), Problem, []string{"no pod of CoreDNS is ready", "logs deploy/coredns"}},
		"CoreDNS is new": {dns(func(e *Evidence) {
			coredns(e).Status.Replicas, coredns(e).Status.AvailableReplicas = 1, 0
			coredns(e).CreationTimestamp = metav1.NewTime(e.Now.Add(-3 * time.Second))
		}), Warning, []string{"dns: 10.43.0.10 does not resolve kubernetes", "CoreDNS is new: it was deployed 3s ago"}},
		"no service":           {dns(func(e *Evidence) { e.Cluster.DNS = nil }), Problem, []string{"there is no Service kube-dns"}},
		"another address":      {dns(func(e *Evidence) { e.Cluster.DNS.Spec.ClusterIPs = []string{"10.43.0.77"} }), Problem, []string{"has the address 10.43.0.77, and pods are told 10.43.0.10"}},
		"no endpoints":         {dns(func(e *Evidence) { e.Cluster.DNSSlices = []discoveryv1.EndpointSlice{} }), Problem, []string{"the Service kube-dns selects no pod that is ready"}},
		"endpoints, not ready": {dns(func(e *Evidence) { e.Cluster.DNSSlices[0].Endpoints[0].Conditions.Ready = ptr.To(false) }), Problem, []string{"selects no pod that is ready"}},
		"packets are dropped":  {dns(func(*Evidence) {}), Problem, []string{"CoreDNS is ready, and its answers do not come back: i/o timeout", "proxy and network"}},
	} {
		f.check(t, name)
	}
	e := well()
	e.DNS = DNS{}
	if list := dnsAnswers(e); len(list) != 0 {
		t.Errorf("without DNS: %+v", list)
	}
}

func TestManifestsAndSnapshots(t *testing.T) {
	t.Parallel()
	addon := unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "web", "namespace": "kube-system"}, "spec": map[string]any{"file": "/m/web.yaml"},
		"status": map[string]any{"state": "Failed", "message": "no kind Foo"},
	}}
	for name, f := range map[string]fault{
		"a file that was not applied": {func(e *Evidence) { e.Cluster.Addons = append(e.Cluster.Addons, addon) }, Problem, []string{"manifests: /m/web.yaml was not applied", "no kind Foo", "describe addon web"}},
		"a snapshot of no use": {func(e *Evidence) {
			e.Cluster.Snapshots = append(e.Cluster.Snapshots, snapshotObject("s0", "Failed", noon))
		}, Warning, []string{"snapshots: the snapshot s0 is of no use", "cut short", "on main: kelp snapshot delete s0.snapshot.zst"}},
		"one that was not made": {func(e *Evidence) {
			e.Status.Components = append(e.Status.Components, supervisor.Status{Name: "snapshot-schedule", State: supervisor.Degraded, LastError: "read-only file system"})
		}, Problem, []string{"snapshots: the last one that was due was not made", "read-only file system", "df -h /var/lib/kelp/server/snapshots"}},
		"old snapshots": {func(e *Evidence) {
			e.Cluster.Snapshots = []unstructured.Unstructured{snapshotObject("s0", "Good", noon.Add(-72*time.Hour))}
		}, Warning, []string{"snapshots: the newest good one is 3d00h old", "kelp snapshot save"}},
		"old ones that suffice": {func(e *Evidence) {
			e.Config.Snapshots.Schedule = "0 0 * * 0"
			e.Cluster.Snapshots = []unstructured.Unstructured{snapshotObject("s0", "Good", noon.Add(-72*time.Hour))}
		}, Good, []string{"snapshots: the newest one was made 3d00h ago"}},
		"none yet": {func(e *Evidence) { e.Cluster.Snapshots = nil }, Good, []string{"snapshots: none was due yet"}},
		"none":     {func(e *Evidence) { e.Cluster.Snapshots = nil; e.Status.Started = noon.AddDate(0, -1, 0) }, Warning, []string{"snapshots: there is none that is good"}},
		"none since a short time": {func(e *Evidence) {
			e.Cluster.Snapshots, e.Config.Snapshots.Schedule = nil, "0 0 1 * *"
			e.Status.Started = noon.Add(-72 * time.Hour)
		}, Good, []string{"snapshots: none was due yet"}},
		"what cannot be listed": {func(e *Evidence) { e.Cluster.Errs = map[string]string{"pods": "forbidden"} }, Unknown, []string{"cluster: pods could not be listed: forbidden"}},
	} {
		f.check(t, name)
	}
}
