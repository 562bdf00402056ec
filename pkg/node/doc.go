// Package node builds the node part of a server or an agent: containerd,
// the pod network, the kubelet and kube-proxy. It looks at the host once
// (Observe) and gives each of the four what it needs to know of it.
package node
