package servicelb

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kelp-project/kelp/pkg/config"
)

// world is a controller with a cluster whose objects a test changes.
type world struct {
	*Controller
	client   *fake.Clientset
	services cache.Indexer
}

func newWorld(t *testing.T, services ...*corev1.Service) *world {
	t.Helper()
	index := func() cache.Indexer {
		return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	}
	cfg := config.Default()
	cfg.API.HTTPSPort = takenPort // a cluster may run on the machine that tests run on
	w := &world{Controller: New(cfg, Inputs{}), client: fake.NewClientset(), services: index()}
	nodes := index()
	if err := nodes.Add(node("one", "InternalIP=10.0.0.1")); err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		if err := w.client.Tracker().Add(s); err != nil {
			t.Fatal(err)
		}
	}
	w.Controller.client = w.client
	w.Controller.services, w.Controller.nodes = corelisters.NewServiceLister(w.services), corelisters.NewNodeLister(nodes)
	w.Controller.slices = discoverylisters.NewEndpointSliceLister(index())
	return w
}

// turn lets the controller see the cluster as it is, and act on it.
func (w *world) turn(t *testing.T) (waiting bool, writes []string) {
	t.Helper()
	list, err := w.client.CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var items []any
	for i := range list.Items {
		items = append(items, &list.Items[i])
	}
	if err := w.services.Replace(items, ""); err != nil {
		t.Fatal(err)
	}
	w.client.ClearActions()
	if waiting, err = w.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range w.client.Actions() {
		if v := a.GetVerb(); v != "list" && v != "get" && v != "watch" {
			writes = append(writes, v+" "+a.GetResource().Resource)
		}
	}
	return waiting, writes
}

// freePort is nobody's on the machine that tests run on; takenPort is the API's.
const freePort, takenPort = 61234, 61235

func TestAddressesAreWrittenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("web", 0, freePort))
	if waiting, writes := w.turn(t); waiting || strings.Join(writes, ",") != "update services" {
		t.Errorf("the first turn: waiting %v, writes %v", waiting, writes)
	}
	s, err := w.client.CoreV1().Services("shop").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || len(s.Status.LoadBalancer.Ingress) != 1 || s.Status.LoadBalancer.Ingress[0].IP != "10.0.0.1" {
		t.Errorf("status is %+v, %v", s.Status, err)
	}
	if _, writes := w.turn(t); len(writes) > 0 {
		t.Errorf("with nothing to do it writes %v", writes)
	}
}

func TestATakenPortIsToldOnceAndTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("web", 0, takenPort, func(s *corev1.Service) { s.UID = types.UID("web") }))
	if waiting, writes := w.turn(t); !waiting || strings.Join(writes, ",") != "create events" {
		t.Errorf("the first turn: waiting %v, writes %v", waiting, writes)
	}
	events, err := w.client.CoreV1().Events("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 || events.Items[0].Reason != "PortTaken" || !strings.Contains(events.Items[0].Message, "61235/TCP is taken by kelp") {
		t.Errorf("events %+v, %v", events, err)
	}
	if waiting, writes := w.turn(t); !waiting || len(writes) > 0 {
		t.Errorf("the second turn: waiting %v, writes %v", waiting, writes)
	}
	w.cfg.API.HTTPSPort = 7443
	if waiting, writes := w.turn(t); waiting || strings.Join(writes, ",") != "update services" {
		t.Errorf("with the port free: waiting %v, writes %v", waiting, writes)
	}
}
