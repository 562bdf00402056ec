package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	kubelet "k8s.io/kubelet/pkg/apis"
)

func (k *checker) node() {
	n := k.cfg.Node
	if problems := validation.IsDNS1123Subdomain(n.Name); len(problems) > 0 {
		k.addf("node.name", "%q cannot be the name of a node: %s", n.Name, short(problems[0]))
	}
	for i, a := range n.IPs {
		if !a.IsGlobalUnicast() {
			k.addf("node.ips", "%s is not an address that other nodes can reach", a)
		}
		for _, other := range n.IPs[:i] {
			if other.Is6() == a.Is6() {
				k.addf("node.ips", "%s and %s are both %s; give at most one address per family", other, a, family(a))
			}
		}
	}
	k.nodeFamilies()
	for _, a := range n.ExternalIPs {
		if !a.IsGlobalUnicast() {
			k.addf("node.externalIPs", "%s is not an address that others can reach", a)
		}
	}
	k.labels()
	k.taints()
}

// nodeFamilies checks that the node has an address of each family that the
// cluster uses, and the primary one first.
func (k *checker) nodeFamilies() {
	ips, cidrs := k.cfg.Node.IPs, k.cfg.Network.ClusterCIDRs
	if len(ips) == 0 || len(cidrs) == 0 {
		return // Complete has said so, or network will
	}
	for _, p := range cidrs {
		if !slices.ContainsFunc(ips, func(a netip.Addr) bool { return a.Is6() == p.Addr().Is6() }) {
			k.addf("node.ips", "no %s address, but network.clusterCIDRs has %s (%s)", family(p.Addr()), p, k.origins["network.clusterCIDRs"])
		}
	}
	if len(ips) > 1 && ips[0].Is6() != cidrs[0].Addr().Is6() {
		k.addf("node.ips", "%s comes first, but the first cluster range is %s; put the %s address first", ips[0], cidrs[0], family(cidrs[0].Addr()))
	}
}

func (k *checker) labels() {
	seen := map[string]bool{}
	for _, label := range k.cfg.Node.Labels {
		key, value, found := strings.Cut(label, "=")
		switch problem := labelProblem(key, value, found); {
		case problem != "":
			k.addf("node.labels", "%q: %s", label, problem)
		case seen[key]:
			k.addf("node.labels", "label %q is given twice", key)
		case isKubernetes(key) && !kubelet.IsKubeletLabel(key):
			k.addf("node.labels", "%q: a node may not give itself labels in the namespace of Kubernetes, save those under %s; set it with kubectl label",
				label, strings.Join(kubelet.KubeletLabelNamespaces(), " and "))
		}
		seen[key] = true
	}
}

func labelProblem(key, value string, found bool) string {
	if !found {
		return "not key=value"
	}
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		return short(problems[0])
	}
	if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
		return short(problems[0])
	}
	return ""
}

// isKubernetes tells whether the kubelet takes a label's key for one of
// Kubernetes' own, as its check of --node-labels does.
func isKubernetes(key string) bool {
	namespace, _, found := strings.Cut(key, "/")
	if !found {
		return false
	}
	for _, domain := range []string{"kubernetes.io", "k8s.io"} {
		if namespace == domain || strings.HasSuffix(namespace, "."+domain) {
			return true
		}
	}
	return false
}

var effects = []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}

func (k *checker) taints() {
	seen := map[string]bool{}
	for _, taint := range k.cfg.Node.Taints {
		rest, effect, found := cutLast(taint, ":")
		key, value, _ := strings.Cut(rest, "=")
		switch problem := labelProblem(key, value, true); {
		case !found:
			k.addf("node.taints", "%q: not key=value:effect", taint)
		case !slices.Contains(effects, effect):
			k.addf("node.taints", "%q: effect %q is not one of %s%s", taint, effect, strings.Join(effects, ", "), didYouMean(effect, effects))
		case problem != "":
			k.addf("node.taints", "%q: %s", taint, problem)
		case seen[key+":"+effect]:
			k.addf("node.taints", "taint %q is given twice", fmt.Sprintf("%s:%s", key, effect))
		}
		seen[key+":"+effect] = true
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
