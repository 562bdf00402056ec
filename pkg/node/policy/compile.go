package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Pod is what policies know of a pod.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
	IPs             []netip.Addr
	Ports           []Port // those that have a name
	Local           bool   // it is on this node
}

// Port is a container's port with a name.
type Port struct {
	Name     string
	Protocol corev1.Protocol
	Number   int32
}

// World is all that policies are computed from. Pods in the host's network are
// not in it: policies do not apply to them.
type World struct {
	Policies   []*networkingv1.NetworkPolicy
	Namespaces map[string]map[string]string // labels by name
	Pods       []Pod
}

// direction is what differs between what comes to a pod and what leaves it.
type direction struct {
	name, own, peer string // the field with the pod's address, and with the peer's
	kind            networkingv1.PolicyType
}

var directions = []direction{
	{"ingress", "daddr", "saddr", networkingv1.PolicyTypeIngress},
	{"egress", "saddr", "daddr", networkingv1.PolicyTypeEgress},
}

// family is what differs between IPv4 and IPv6.
type family struct {
	name, protocol, addresses string // for names, in rules, the type of sets
	is                        func(netip.Addr) bool
}

var families = []family{
	{"4", "ip", "ipv4_addr", netip.Addr.Is4},
	{"6", "ip6", "ipv6_addr", netip.Addr.Is6},
}

// rules is the table: sets by name, chains by name, and which chain a pod's
// packets go through, by direction and address.
type rules struct {
	sets   map[string]*set
	chains map[string][]string
	pods   map[string]map[netip.Addr]string
}

// set is an nftables set with its elements, each a concatenation.
type set struct {
	typ      string
	elements map[string][]string // by its text
}

func (s *set) add(parts ...string) { s.elements[strings.Join(parts, " . ")] = parts }

// compile translates policies to rules for this node's pods.
func compile(w World) *rules {
	r := &rules{sets: map[string]*set{}, chains: map[string][]string{}, pods: map[string]map[netip.Addr]string{}}
	policies := slices.SortedFunc(slices.Values(w.Policies), func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, d := range directions {
		r.pods[d.name] = map[netip.Addr]string{}
		byPod := map[int][]string{} // the chains of the policies that select a pod
		for _, p := range policies {
			if !applies(p, d.kind) {
				continue
			}
			selected := selectedBy(w, p)
			if len(selected) == 0 {
				continue // not this node's business
			}
			chain := r.policy(w, p, d, selected)
			for _, i := range selected {
				byPod[i] = append(byPod[i], chain)
			}
		}
		for i, chains := range byPod {
			group := r.group(d, w.Pods[i].Namespace, chains)
			for _, ip := range w.Pods[i].IPs {
				r.pods[d.name][ip] = group
			}
		}
	}
	return r
}

// applies says whether a policy isolates pods in a direction. The API server
// fills policyTypes in.
func applies(p *networkingv1.NetworkPolicy, kind networkingv1.PolicyType) bool {
	return slices.Contains(p.Spec.PolicyTypes, kind)
}

// selectedBy are the indices of this node's pods that a policy selects.
func selectedBy(w World, p *networkingv1.NetworkPolicy) []int {
	match := selector(&p.Spec.PodSelector)
	var found []int
	for i, pod := range w.Pods {
		if pod.Local && pod.Namespace == p.Namespace && match.Matches(labels.Set(pod.Labels)) {
			found = append(found, i)
		}
	}
	return found
}

// selector never fails: the API server has validated it. If it should, nothing
// matches, which allows less.
func selector(s *metav1.LabelSelector) labels.Selector {
	if s == nil {
		return labels.Everything()
	}
	match, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return match
}

// nameLimit is below what nftables takes, with room for what is appended.
const nameLimit = 200

// named makes a name of parts, shortened if it has to be.
func named(parts ...string) string {
	name := strings.Join(parts, "/")
	if len(name) <= nameLimit {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:nameLimit-17] + "/" + hex.EncodeToString(sum[:8])
}

// group makes the chain of pods that the same policies select: what none of
// them allows is refused.
func (r *rules) group(d direction, namespace string, policies []string) string {
	sum := sha256.Sum256([]byte(strings.Join(policies, " ")))
	name := named("pods", d.name, namespace, hex.EncodeToString(sum[:8]))
	if r.chains[name] == nil {
		var lines []string
		for _, p := range policies {
			lines = append(lines, "jump "+p)
		}
		r.chains[name] = append(lines, "reject with icmpx admin-prohibited")
	}
	return name
}

// policy makes the chain of one policy: it accepts what is allowed.
func (r *rules) policy(w World, p *networkingv1.NetworkPolicy, d direction, selected []int) string {
	name := named(d.name, p.Namespace, p.Name)
	lines := []string{}
	if d.kind == networkingv1.PolicyTypeIngress {
		for i, rule := range p.Spec.Ingress {
			lines = append(lines, r.rule(w, p, d, selected, fmt.Sprintf("%s/%d", name, i), rule.From, rule.Ports)...)
		}
	} else {
		for i, rule := range p.Spec.Egress {
			lines = append(lines, r.rule(w, p, d, selected, fmt.Sprintf("%s/%d", name, i), rule.To, rule.Ports)...)
		}
	}
	r.chains[name] = lines
	return name
}

// rule translates one rule of a policy: every peer on every port.
func (r *rules) rule(w World, p *networkingv1.NetworkPolicy, d direction, selected []int, name string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) []string {
	who := r.peers(w, p, d, name, peers)
	var lines []string
	for _, from := range who.matches {
		for _, to := range numbered(ports) {
			lines = append(lines, line(from, to, "accept"))
		}
	}
	for i, port := range ports {
		if port.Port == nil || port.Port.Type != intstr.String {
			continue
		}
		lines = append(lines, r.byName(w, d, selected, who, fmt.Sprintf("%s/port-%d", name, i), port)...)
	}
	return lines
}

// line joins the parts of a rule that are not empty.
func line(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " ")
}

// numbered are the matches of the ports that have a number, or of all ports.
func numbered(ports []networkingv1.NetworkPolicyPort) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var matches []string
	for _, p := range ports {
		protocol := protocolOf(p.Protocol)
		switch {
		case p.Port == nil:
			matches = append(matches, "meta l4proto "+protocol)
		case p.Port.Type == intstr.Int && p.EndPort != nil:
			matches = append(matches, fmt.Sprintf("%s dport %d-%d", protocol, p.Port.IntVal, *p.EndPort))
		case p.Port.Type == intstr.Int:
			matches = append(matches, fmt.Sprintf("%s dport %d", protocol, p.Port.IntVal))
		}
	}
	return matches
}

func protocolOf(p *corev1.Protocol) string {
	if p == nil {
		return "tcp"
	}
	return strings.ToLower(string(*p))
}

// byName makes the rules for a port that is given by name: it is the number
// that the pod which is connected to has under that name.
func (r *rules) byName(w World, d direction, selected []int, who peers, name string, port networkingv1.NetworkPolicyPort) []string {
	targets, matches := selected, who.matches
	if d.kind == networkingv1.PolicyTypeEgress {
		// The peers' own ports; addresses outside of the cluster have no names.
		targets, matches = who.pods, []string{""}
	}
	var lines []string
	for _, f := range families {
		s := &set{typ: f.addresses + " . inet_proto . inet_service", elements: map[string][]string{}}
		for _, i := range targets {
			for _, have := range w.Pods[i].Ports {
				if have.Name != port.Port.StrVal || strings.ToLower(string(have.Protocol)) != protocolOf(port.Protocol) {
					continue
				}
				for _, ip := range w.Pods[i].IPs {
					if f.is(ip) {
						s.add(ip.String(), protocolOf(port.Protocol), fmt.Sprint(have.Number))
					}
				}
			}
		}
		if len(s.elements) == 0 {
			continue
		}
		r.sets[name+"-"+f.name] = s
		for _, m := range matches {
			if m == "" || strings.HasPrefix(m, f.protocol+" ") {
				lines = append(lines, line(m, f.protocol+" daddr . meta l4proto . th dport @"+name+"-"+f.name, "accept"))
			}
		}
	}
	return lines
}

// peers are whom a rule is about.
type peers struct {
	matches []string // of their addresses; an empty one matches all
	pods    []int    // those of them that are pods
}

// peers makes a set of the pods that are meant, and a match per range.
func (r *rules) peers(w World, p *networkingv1.NetworkPolicy, d direction, name string, list []networkingv1.NetworkPolicyPeer) peers {
	if len(list) == 0 {
		all := peers{matches: []string{""}}
		for i := range w.Pods {
			all.pods = append(all.pods, i)
		}
		return all
	}
	var who peers
	meant := map[int]bool{}
	for _, peer := range list {
		if peer.IPBlock != nil {
			who.matches = append(who.matches, block(d, peer.IPBlock)...)
			continue
		}
		pods, namespaces := selector(peer.PodSelector), selector(peer.NamespaceSelector)
		for i, pod := range w.Pods {
			inside := pod.Namespace == p.Namespace
			if peer.NamespaceSelector != nil {
				inside = namespaces.Matches(labels.Set(w.Namespaces[pod.Namespace]))
			}
			if inside && pods.Matches(labels.Set(pod.Labels)) {
				meant[i] = true
			}
		}
	}
	who.pods = slices.Sorted(maps.Keys(meant))
	for _, f := range families {
		s := &set{typ: f.addresses, elements: map[string][]string{}}
		for _, i := range who.pods {
			for _, ip := range w.Pods[i].IPs {
				if f.is(ip) {
					s.add(ip.String())
				}
			}
		}
		if len(s.elements) > 0 {
			r.sets[name+"-"+f.name] = s
			who.matches = append(who.matches, fmt.Sprintf("%s %s @%s-%s", f.protocol, d.peer, name, f.name))
		}
	}
	return who
}

// block is the match of a range without its exceptions.
func block(d direction, b *networkingv1.IPBlock) []string {
	inside, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return nil // the API server has validated it; what cannot be read allows nothing
	}
	field := "ip " + d.peer
	if inside.Addr().Is6() {
		field = "ip6 " + d.peer
	}
	match := field + " " + inside.Masked().String()
	for _, text := range b.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil {
			return nil
		}
		match += " " + field + " != " + except.Masked().String()
	}
	return []string{match}
}
