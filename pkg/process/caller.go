package process

import (
	"runtime"
	"strings"
)

// componentKey is the log's field for the component, in all of kelp.
const componentKey = "component"

// own is the beginning of kelp's packages.
const own = "github.com/kelp-project/kelp/"

// components tells by the path of a package to which component it belongs.
var components = []struct{ path, component string }{
	{"k8s.io/kubernetes/pkg/kubelet", "kubelet"},
	{"k8s.io/kubernetes/cmd/kubelet", "kubelet"},
	{"k8s.io/kubernetes/pkg/volume", "kubelet"},
	{"k8s.io/kubelet", "kubelet"},
	{"github.com/google/cadvisor", "kubelet"},
	{"k8s.io/kubernetes/pkg/proxy", "proxy"},
	{"k8s.io/kubernetes/cmd/kube-proxy", "proxy"},
	{"sigs.k8s.io/knftables", "proxy"},
	{"k8s.io/kubernetes/pkg/scheduler", "scheduler"},
	{"k8s.io/kubernetes/cmd/kube-scheduler", "scheduler"},
	{"k8s.io/kubernetes/pkg/controller", "controller-manager"},
	{"k8s.io/kubernetes/cmd/kube-controller-manager", "controller-manager"},
	{"k8s.io/controller-manager", "controller-manager"},
	{"k8s.io/kubernetes/pkg/controlplane", "apiserver"},
	{"k8s.io/kubernetes/cmd/kube-apiserver", "apiserver"},
	{"k8s.io/kubernetes/pkg/registry", "apiserver"},
	{"k8s.io/kubernetes/pkg/kubeapiserver", "apiserver"},
	{"k8s.io/apiserver", "apiserver"},
	{"k8s.io/kube-aggregator", "apiserver"},
	{"k8s.io/apiextensions-apiserver", "apiserver"},
	{"github.com/k3s-io/kine", "datastore"},
	{"go.etcd.io/etcd/server", "datastore"},
	{"github.com/containerd/containerd", "containerd"},
	{"github.com/flannel-io/flannel", "network"},
	{own + "pkg/control/apiserver", "apiserver"},
	{own + "pkg/control/controllermanager", "controller-manager"},
	{own + "pkg/control/scheduler", "scheduler"},
	{own + "pkg/node/containerd", "containerd"},
	{own + "pkg/node/network", "network"},
	{own + "pkg/node/kubelet", "kubelet"},
	{own + "pkg/node/proxy", "proxy"},
	{own + "pkg/datastore", "datastore"},
	{own + "pkg/deploy", "deploy"},
	{own + "pkg/servicelb", "servicelb"},
	{own + "pkg/images", "images"},
	{own + "pkg/front", "front"},
	{own + "pkg/join", "join"},
	{own + "pkg/token", "join"},
	{own + "pkg/tunnel", "tunnel"},
	{own + "pkg/balancer", "balancer"},
	{own + "pkg/node/policy", "network-policy"},
}

// caller names the component whose code logs, by the innermost frame that
// tells. Where only shared libraries are on the stack, as in goroutines of
// client-go, it is "kubernetes".
func caller() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if component := componentOf(frame.Function); component != "" {
			return component
		}
		if !more {
			return "kubernetes"
		}
	}
}

// componentOf names the component that a function belongs to, if one does.
func componentOf(function string) string {
	for _, c := range components {
		if rest, ok := strings.CutPrefix(function, c.path); ok && strings.IndexAny(rest, "./") == 0 {
			return c.component
		}
	}
	return ""
}
