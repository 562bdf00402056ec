package kubelet

import (
	"testing"

	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubernetes/pkg/volume/csi"
	volumetest "k8s.io/kubernetes/pkg/volume/testing"
)

// Another component of the process initialises a CSI plugin of its own, as the
// attach-detach controller does; the kubelet takes the variables back.
func TestCSIGuard(t *testing.T) {
	ours, theirs := csi.ProbeVolumePlugins(), csi.ProbeVolumePlugins()
	guard, err := newCSIGuard(ours)
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
	if _, err := newCSIGuard(nil); err == nil {
		t.Error("a kubelet without a CSI plugin passes")
	}
}
