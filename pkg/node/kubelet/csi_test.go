package kubelet

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/csi"
	volumetest "k8s.io/kubernetes/pkg/volume/testing"

	"github.com/kelp-project/kelp/pkg/internal/latest"
)

// Another component of the process initialises a CSI plugin of its own, as the
// attach-detach controller does; the kubelet takes the variables back.
func TestCSIGuard(t *testing.T) {
	ours, theirs := csi.ProbeVolumePlugins(), csi.ProbeVolumePlugins()
	guard, err := newCSIGuard(ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.check(t.Context()); err != nil {
		t.Fatalf("before the kubelet has initialised its plugins: %v", err)
	}
	kubelet := volumetest.NewFakeKubeletVolumeHost(t, t.TempDir(), nil, nil)
	for _, p := range append(ours, guard) {
		if err := p.Init(kubelet); err != nil {
			t.Fatal(err)
		}
	}
	if !guard.ours() {
		t.Fatal("the kubelet's own plugin is not recognised")
	}
	controller := volumetest.NewFakeAttachDetachVolumeHostWithCSINodeName(t, t.TempDir(), fake.NewClientset(), nil, "", nil, nil)
	if err := theirs[0].Init(controller); err != nil {
		t.Fatal(err)
	}
	if guard.ours() {
		t.Fatal("the other component's plugin is taken for the kubelet's: upstream has changed")
	}
	if err := guard.check(t.Context()); err != nil || !guard.ours() {
		t.Errorf("the variables are not the kubelet's again: %v", err)
	}
}

func TestNoCSIPlugin(t *testing.T) {
	t.Parallel()
	if _, err := newCSIGuard(nil, nil); err == nil {
		t.Error("a kubelet without a CSI plugin passes")
	}
}

// plugin counts how often it is initialised, and says with which host.
type plugin struct {
	csiGuard
	hosts []volume.VolumeHost
}

func (p *plugin) Init(host volume.VolumeHost) error {
	p.hosts = append(p.hosts, host)
	return nil
}

// host is a kubelet that remembers what error it was given.
type host struct {
	volume.VolumeHost
	volume.KubeletVolumeHost
	err error
}

func (h *host) SetKubeletError(err error) { h.err = err }

func TestANewNodeIsNotKeptWaiting(t *testing.T) {
	t.Parallel()
	old := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}
	for name, c := range map[string]struct {
		client *fake.Clientset
		again  int
	}{"new": {fake.NewClientset(), len(pauses)}, "known": {fake.NewClientset(old), 0}} {
		h := &host{VolumeHost: volumetest.NewFakeVolumeHostWithCSINodeName(t, t.TempDir(), c.client, nil, "node-1", nil, nil)}
		p := &plugin{}
		waited := 0
		guard := &csiGuard{plugin: p, host: latest.Of[volume.VolumeHost](h), node: func(context.Context) error { waited++; return nil }}
		if err := guard.hasten(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(p.hosts) != c.again || waited != min(c.again, 1) {
			t.Errorf("a %s node: initialised %d times after waiting %d times", name, len(p.hosts), waited)
		}
		if c.again == 0 {
			continue
		}
		calm := p.hosts[0].(volume.KubeletVolumeHost)
		if calm.SetKubeletError(errors.New("not yet")); h.err != nil {
			t.Error("initialising again makes the node NotReady")
		}
		h.err = errors.New("from the first time")
		if calm.SetKubeletError(nil); h.err != nil {
			t.Error("that all is well does not get through")
		}
	}
}
