package join

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

func TestNodeOf(t *testing.T) {
	t.Parallel()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, n := range []struct{ name, ip, pods string }{
		{"one", "192.0.2.1", "10.42.0.0/24"}, {"two", "192.0.2.2", "10.42.1.0/24"}, {"thief", "192.0.2.1", "10.42.2.0/24"},
		{"six", "2001:db8::1", "fd42::/64"},
	} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.name}, Spec: corev1.NodeSpec{PodCIDRs: []string{n.pods}}}
		node.Status.DaemonEndpoints.KubeletEndpoint.Port = 10250
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: n.name}, {Type: corev1.NodeInternalIP, Address: n.ip}}
		if err := indexer.Add(node); err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{}
	s.cfg.Node.Name = "six"
	if got := s.NodeOf(netip.MustParseAddr("192.0.2.2")); got != "" {
		t.Errorf("before nodes are known: %q", got)
	}
	lister := corelisters.NewNodeLister(indexer)
	s.nodes.Store(&lister)
	for address, want := range map[string]string{
		"192.0.2.2": "two", "::ffff:192.0.2.2": "two", "10.42.1.9": "two", "10.42.2.9": "thief", "2001:db8::1": "six", "fd42::9": "six",
		"192.0.2.1": "", // two claim it
		"192.0.2.3": "", "10.43.0.1": "", "127.0.0.1": "",
	} {
		if got := s.NodeOf(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if got := s.Kubelets("two"); len(got) != 1 || got[0].String() != "192.0.2.2:10250" {
		t.Errorf("the kubelet of two: %v", got)
	}
	if got := append(s.Kubelets("one"), s.Kubelets("nobody")...); len(got) != 0 {
		t.Errorf("an address that two claim, and nobody's: %v", got)
	}
	if got := s.Gateways(); len(got) != 1 || got[0].String() != "fd42::1" {
		t.Errorf("this node's gateways: %v", got)
	}
}
