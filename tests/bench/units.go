package main

import (
	"fmt"
	"strings"

	"github.com/kelp-project/kelp/pkg/images"
	"github.com/kelp-project/kelp/tests/hosts"
)

// settings are the configuration files of the separate processes: the same
// choices as kelp's, by file name.
func settings(h *hosts.Host) map[string]string {
	return map[string]string{
		"containerd.toml": fmt.Sprintf(`version = 3
root = "/var/lib/kelp/containerd"
state = "/run/upstream/containerd"
[grpc]
address = "/run/upstream/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %q
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/var/lib/kelp/bin/cni"]
conf_dir = "/var/lib/kelp/network/agent/cni/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "/var/lib/kelp/bin/runc"
`, images.Pause),
		"kubelet.yaml": `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/upstream/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
failCgroupV1: false
containerRuntimeEndpoint: unix:///run/upstream/containerd.sock
clusterDNS: [10.43.0.10]
clusterDomain: cluster.local
tlsCertFile: /etc/upstream/kubelet.crt
tlsPrivateKeyFile: /etc/upstream/kubelet.key
failSwapOn: false
`,
		"proxy.yaml": `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: /etc/upstream/proxy.kubeconfig}
clusterCIDR: 10.42.0.0/16
conntrack: {maxPerCore: 0, min: 0}
hostnameOverride: ` + h.Name + "\n",
	}
}

// upstreamUnits are the systemd units. What others wait for tells systemd when
// it is ready (etcd, containerd, the apiserver); what starts too early all the
// same ends and is started anew.
func upstreamUnits(h *hosts.Host) map[string]string {
	const api = "upstream-kube-apiserver.service"
	units := map[string]string{
		"upstream-etcd.service": unit("notify", "", "etcd --name=default --data-dir=/var/lib/kelp/etcd"+
			" --listen-client-urls=https://127.0.0.1:2379 --advertise-client-urls=https://127.0.0.1:2379"+
			" --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=default=http://127.0.0.1:2380"+
			" --cert-file=/etc/upstream/server.crt --key-file=/etc/upstream/server.key --client-cert-auth --trusted-ca-file=/etc/upstream/ca.crt"),
		"upstream-containerd.service": unit("notify", "", "containerd --config=/etc/upstream/containerd.toml"),
		api: unit("notify", "upstream-etcd.service", "kube-apiserver --etcd-servers=https://127.0.0.1:2379"+
			" --etcd-cafile=/etc/upstream/ca.crt --etcd-certfile=/etc/upstream/admin.crt --etcd-keyfile=/etc/upstream/admin.key"+
			" --advertise-address="+h.Address+" --secure-port=6443 --service-cluster-ip-range=10.43.0.0/16 --authorization-mode=Node,RBAC"+
			" --enable-admission-plugins=NodeRestriction --client-ca-file=/etc/upstream/ca.crt"+
			" --tls-cert-file=/etc/upstream/server.crt --tls-private-key-file=/etc/upstream/server.key"+
			" --kubelet-client-certificate=/etc/upstream/apiserver-kubelet.crt --kubelet-client-key=/etc/upstream/apiserver-kubelet.key"+
			" --kubelet-preferred-address-types=InternalIP --requestheader-client-ca-file=/etc/upstream/ca.crt --requestheader-allowed-names=aggregator"+
			" --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra-"+
			" --proxy-client-cert-file=/etc/upstream/aggregator.crt --proxy-client-key-file=/etc/upstream/aggregator.key"+
			" --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=/etc/upstream/sa.crt --service-account-signing-key-file=/etc/upstream/sa.key"),
		"upstream-kube-controller-manager.service": unit("exec", api, "kube-controller-manager --kubeconfig=/etc/upstream/controller-manager.kubeconfig"+
			" --authentication-kubeconfig=/etc/upstream/controller-manager.kubeconfig --authorization-kubeconfig=/etc/upstream/controller-manager.kubeconfig"+
			" --use-service-account-credentials --service-account-private-key-file=/etc/upstream/sa.key --root-ca-file=/etc/upstream/ca.crt"+
			" --allocate-node-cidrs --cluster-cidr=10.42.0.0/16 --service-cluster-ip-range=10.43.0.0/16"),
		"upstream-kube-scheduler.service": unit("exec", api, "kube-scheduler --kubeconfig=/etc/upstream/scheduler.kubeconfig"+
			" --authentication-kubeconfig=/etc/upstream/scheduler.kubeconfig --authorization-kubeconfig=/etc/upstream/scheduler.kubeconfig"),
		"upstream-kubelet.service": unit("exec", "upstream-containerd.service "+api, "kubelet --config=/etc/upstream/kubelet.yaml"+
			" --kubeconfig=/etc/upstream/kubelet.kubeconfig --node-ip="+h.Address+" --hostname-override="+h.Name),
		"upstream-network.service": unit("exec", api, "network -node="+h.Name+" -ip="+h.Address+
			" -kubeconfig=/etc/upstream/admin.kubeconfig -data-dir=/var/lib/kelp/network"),
		"upstream-kube-proxy.service": unit("exec", api, "kube-proxy --config=/etc/upstream/proxy.yaml"),
	}
	var names []string
	for name := range units {
		names = append(names, name)
	}
	units["upstream.target"] = "[Unit]\nWants=" + strings.Join(names, " ") + "\n"
	return units
}

func unit(kind, after, command string) string {
	return "[Unit]\nPartOf=upstream.target\nAfter=" + after + "\nWants=" + after + `
[Service]
Type=` + kind + `
ExecStart=/var/lib/kelp/upstream/` + command + `
Environment=PATH=/var/lib/kelp/bin:/usr/sbin:/usr/bin:/sbin:/bin
Delegate=yes
KillMode=process
Restart=on-failure
RestartSec=5
LimitNOFILE=1048576
TasksMax=infinity
OOMScoreAdjust=-500
`
}
