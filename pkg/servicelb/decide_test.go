package servicelb

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// node is a ready node; addresses are type=address, as InternalIP=10.0.0.1.
func node(name string, addresses ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, a := range addresses {
		kind, address, _ := strings.Cut(a, "=")
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeAddressType(kind), Address: address})
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return n
}

// service is one with a port; age orders services, the oldest is 0.
func service(name string, age int, port int32, change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "shop", UID: types.UID("uid of " + name),
			CreationTimestamp: metav1.NewTime(time.Unix(int64(1000+age), 0)),
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Port: port}},
		},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func dual(s *corev1.Service) {
	s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
}
func local(s *corev1.Service) {
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}
func udp(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolUDP }
func class(name string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &name }
}
func leaving(s *corev1.Service) { s.DeletionTimestamp = &metav1.Time{Time: time.Unix(2000, 0)} }

func notReady(n *corev1.Node) *corev1.Node {
	n.Status.Conditions[0].Status = corev1.ConditionFalse
	return n
}

func excluded(n *corev1.Node) *corev1.Node {
	n.Labels[corev1.LabelNodeExcludeBalancers] = ""
	return n
}

// readyOn is a slice with a ready endpoint on the first node and one that is
// not ready on the second.
func readyOn(ready, unready string) func(string, string) []*discoveryv1.EndpointSlice {
	yes, no := true, false
	return func(string, string) []*discoveryv1.EndpointSlice {
		return []*discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{
			{NodeName: &ready, Conditions: discoveryv1.EndpointConditions{Ready: &yes}},
			{NodeName: &unready, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
		}}}
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	one, two := node("one", "InternalIP=10.0.0.1"), node("two", "InternalIP=10.0.0.2")
	for name, tc := range map[string]struct {
		view view
		want []string // name: addresses or conflict
	}{
		"all ready nodes": {
			view{services: []*corev1.Service{service("web", 0, 80)}, nodes: []*corev1.Node{two, one, notReady(node("three", "InternalIP=10.0.0.3"))}},
			[]string{"web: 10.0.0.1 10.0.0.2"},
		},
		"external addresses before internal ones": {
			view{services: []*corev1.Service{service("web", 0, 80)}, nodes: []*corev1.Node{node("one", "InternalIP=10.0.0.1", "ExternalIP=203.0.113.1", "Hostname=one"), two}},
			[]string{"web: 10.0.0.2 203.0.113.1"},
		},
		"both families": {
			view{services: []*corev1.Service{service("web", 0, 80, dual), service("four", 1, 81)}, nodes: []*corev1.Node{node("one", "InternalIP=10.0.0.1", "InternalIP=fd00::1")}},
			[]string{"four: 10.0.0.1", "web: 10.0.0.1 fd00::1"},
		},
		"no nodes that are excluded": {
			view{services: []*corev1.Service{service("web", 0, 80)}, nodes: []*corev1.Node{one, excluded(node("two", "InternalIP=10.0.0.2"))}},
			[]string{"web: 10.0.0.1"},
		},
		"only nodes with a ready endpoint where traffic stays local": {
			view{services: []*corev1.Service{service("web", 0, 80, local)}, nodes: []*corev1.Node{one, two}, slices: readyOn("two", "one")},
			[]string{"web: 10.0.0.2"},
		},
		"the older one keeps its port": {
			view{services: []*corev1.Service{service("new", 2, 80), service("old", 1, 80), service("other", 3, 81)}, nodes: []*corev1.Node{one}},
			[]string{"new: port 80/TCP is taken by service shop/old", "old: 10.0.0.1", "other: 10.0.0.1"},
		},
		"a port is free when its Service is on its way out": {
			view{services: []*corev1.Service{service("new", 2, 80), service("old", 1, 80, leaving)}, nodes: []*corev1.Node{one}},
			[]string{"new: 10.0.0.1"},
		},
		"TCP and UDP are two ports": {
			view{services: []*corev1.Service{service("new", 2, 53), service("old", 1, 53, udp)}, nodes: []*corev1.Node{one}},
			[]string{"new: 10.0.0.1", "old: 10.0.0.1"},
		},
		"a port that is somebody else's": {
			view{services: []*corev1.Service{service("api", 0, 6443)}, nodes: []*corev1.Node{one}, taken: map[Port]string{{6443, corev1.ProtocolTCP}: "kelp (the API)"}},
			[]string{"api: port 6443/TCP is taken by kelp (the API)"},
		},
		"only Services of ours": {
			view{services: []*corev1.Service{service("mine", 0, 80, class(Class)), service("theirs", 0, 80, class("metallb")), service("plain", 0, 80, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })}, nodes: []*corev1.Node{one}},
			[]string{"mine: 10.0.0.1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for s, d := range decide(tc.view) {
				got = append(got, fmt.Sprintf("%s: %s%s", s.Name, strings.Join(d.addresses, " "), d.conflict))
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
