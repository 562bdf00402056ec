package servicelb

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Class is the loadBalancerClass that asks for this controller by name.
const Class = "kelp.io/servicelb"

// Port is a port that can be taken.
type Port struct {
	Number   int32
	Protocol corev1.Protocol
}

// String is the port as people write it.
func (p Port) String() string { return fmt.Sprintf("%d/%s", p.Number, p.Protocol) }

// view is what a decision is made from.
type view struct {
	services []*corev1.Service
	nodes    []*corev1.Node
	// slices are the EndpointSlices of a Service.
	slices func(namespace, service string) []*discoveryv1.EndpointSlice
	// taken are ports that belong to somebody who is no Service.
	taken map[Port]string
}

// decision is what a Service shall have.
type decision struct {
	addresses []string
	conflict  string // why it gets none, "" if that is not for a port
}

// ours says whether the Service is one that we serve.
func ours(s *corev1.Service) bool {
	class := s.Spec.LoadBalancerClass
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && (class == nil || *class == Class)
}

// decide gives each Service its addresses. Who was there first keeps a port.
func decide(v view) map[*corev1.Service]decision {
	services := slices.Clone(v.services)
	slices.SortFunc(services, func(a, b *corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	owners := map[Port]string{}
	for p, who := range v.taken {
		owners[p] = who
	}
	decisions := map[*corev1.Service]decision{}
	for _, s := range services {
		if !ours(s) || s.DeletionTimestamp != nil {
			continue
		}
		if conflict := conflictOf(s, owners); conflict != "" {
			decisions[s] = decision{conflict: conflict}
			continue
		}
		for _, p := range portsOf(s) {
			owners[p] = fmt.Sprintf("service %s/%s", s.Namespace, s.Name)
		}
		decisions[s] = decision{addresses: addressesOf(s, v)}
	}
	return decisions
}

func portsOf(s *corev1.Service) []Port {
	var ports []Port
	for _, p := range s.Spec.Ports {
		ports = append(ports, Port{p.Port, cmp.Or(p.Protocol, corev1.ProtocolTCP)})
	}
	return ports
}

func conflictOf(s *corev1.Service, owners map[Port]string) string {
	var problems []string
	for _, p := range portsOf(s) {
		if who, taken := owners[p]; taken {
			problems = append(problems, fmt.Sprintf("port %s is taken by %s", p, who))
		}
	}
	return strings.Join(problems, "; ")
}

// addressesOf are the addresses of the nodes at which the Service is reached.
func addressesOf(s *corev1.Service, v view) []string {
	var local map[string]bool
	if s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		local = map[string]bool{}
		for _, slice := range v.slices(s.Namespace, s.Name) {
			for _, e := range slice.Endpoints {
				if e.NodeName != nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
					local[*e.NodeName] = true
				}
			}
		}
	}
	var found []netip.Addr
	for _, n := range v.nodes {
		if !eligible(n) || local != nil && !local[n.Name] {
			continue
		}
		for _, family := range s.Spec.IPFamilies {
			found = append(found, nodeAddresses(n, family)...)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	var addresses []string
	for _, a := range slices.Compact(found) {
		addresses = append(addresses, a.String())
	}
	return addresses
}

func eligible(n *corev1.Node) bool {
	if _, excluded := n.Labels[corev1.LabelNodeExcludeBalancers]; excluded || n.DeletionTimestamp != nil {
		return false
	}
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// nodeAddresses are a node's external addresses of a family, or else its
// internal ones.
func nodeAddresses(n *corev1.Node, family corev1.IPFamily) []netip.Addr {
	for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
		var found []netip.Addr
		for _, a := range n.Status.Addresses {
			ip, err := netip.ParseAddr(a.Address)
			if err == nil && a.Type == kind && ip.Is4() == (family == corev1.IPv4Protocol) {
				found = append(found, ip)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// sameIngress says whether a status holds the addresses already.
func sameIngress(status []corev1.LoadBalancerIngress, addresses []string) bool {
	var have []string
	for _, i := range status {
		have = append(have, i.IP)
	}
	return slices.Equal(have, addresses)
}
