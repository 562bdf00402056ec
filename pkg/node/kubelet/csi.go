package kubelet

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/containerd/log"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/csi"

	"github.com/kelp-project/kelp/pkg/internal/latest"
)

// The CSI plugin keeps the node that it works for in package variables, set
// by whoever initialised it last. In one process with a controller manager
// that may be the attach-detach controller, which has no node: the kubelet
// then fails with "resource name may not be empty" until it ends, and no CSI
// driver can register. So the kubelet takes the variables back whenever they
// have changed hands. It can go when upstream's "consider using a struct
// instead of global variables" in pkg/volume/csi has been done.
//
// And when a new node registers a moment after the plugin has looked for it,
// the plugin looks again after 0.03, 0.24, 1.9 and 15 s, while the node may
// not be Ready. So it is initialised again as soon as the node exists.

// csiGuard is a volume plugin that holds no volumes: it learns with which
// host the kubelet initialises its plugins.
type csiGuard struct {
	plugin volume.VolumePlugin // the kubelet's own CSI plugin
	node   func(context.Context) error
	host   *latest.Value[volume.VolumeHost]
}

var _ volume.VolumePlugin = (*csiGuard)(nil)

// newCSIGuard finds the CSI plugin among the kubelet's; node returns when the
// node exists.
func newCSIGuard(plugins []volume.VolumePlugin, node func(context.Context) error) (*csiGuard, error) {
	for _, p := range plugins {
		if p.GetPluginName() == csi.CSIPluginName {
			return &csiGuard{plugin: p, node: node, host: latest.New[volume.VolumeHost]()}, nil
		}
	}
	return nil, errors.New("the kubelet has no CSI plugin")
}

// How soon a change of hands is seen: at first, when controllers are being
// built and the node waits to be Ready, and later, when it takes an election.
const (
	often    = 50 * time.Millisecond
	seldom   = time.Second
	starting = 30 * time.Second
)

// keep initialises the plugin again when it has to, until ctx ends.
func (g *csiGuard) keep(ctx context.Context) {
	if err := g.hasten(ctx); err != nil && ctx.Err() == nil {
		log.G(ctx).WithError(err).Warn("the node may take longer to become ready")
	}
	tick := time.NewTicker(often)
	defer tick.Stop()
	settled := time.After(starting)
	for {
		select {
		case <-ctx.Done():
			return
		case <-settled:
			tick.Reset(seldom)
		case <-tick.C:
			if err := g.check(ctx); err != nil {
				log.G(ctx).WithError(err).Warn("the kubelet's CSI plugin could not be initialised again")
			}
		}
	}
}

// hasten initialises the plugin again when a node that did not exist does.
func (g *csiGuard) hasten(ctx context.Context) error {
	host, err := g.host.Get(ctx)
	if err != nil {
		return err
	}
	nodes := host.GetKubeClient().CoreV1().Nodes()
	if _, err := nodes.Get(ctx, string(host.GetNodeName()), metav1.GetOptions{}); err == nil {
		return nil
	}
	if err := g.node(ctx); err != nil {
		return err
	}
	// Twice more: the plugin's own try may collide with this one, fail, and
	// leave its error until it tries again much later.
	for _, pause := range pauses {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if err := g.again(host); err != nil {
			return err
		}
	}
	return nil
}

// pauses are those before each time that a new node's CSI plugin is
// initialised again. One of its own tries takes up to 0.3 s.
var pauses = []time.Duration{0, 150 * time.Millisecond, 350 * time.Millisecond}

// check takes the plugin back if it has changed hands.
func (g *csiGuard) check(ctx context.Context) error {
	host, known, _ := g.host.Peek()
	if !known || g.ours() {
		return nil
	}
	log.G(ctx).Debug("CSI plugin was taken by another component; initialising it again")
	return g.again(host)
}

func (g *csiGuard) again(host volume.VolumeHost) error {
	if k, ok := host.(volume.KubeletVolumeHost); ok {
		host = calmHost{host, k}
	}
	if err := g.plugin.Init(host); err != nil {
		return fmt.Errorf("initialise CSI plugin again: %w", err)
	}
	return nil
}

// calmHost is the kubelet, but for one thing: that the plugin is being
// initialised again does not make the node NotReady.
type calmHost struct {
	volume.VolumeHost
	volume.KubeletVolumeHost
}

// SetKubeletError passes on only that all is well.
func (h calmHost) SetKubeletError(err error) {
	if err == nil {
		h.KubeletVolumeHost.SetKubeletError(nil)
	}
}

// ours says whether the package's registration handler, which is set together
// with the node, belongs to the kubelet's plugin. Its field is unexported, so
// only the address is looked at.
func (g *csiGuard) ours() bool {
	field := reflect.ValueOf(csi.PluginHandler).Elem().FieldByName("csiPlugin")
	return field.Pointer() == reflect.ValueOf(g.plugin).Pointer()
}

// Init remembers the host.
func (g *csiGuard) Init(host volume.VolumeHost) error {
	g.host.Set(host)
	return nil
}

// GetPluginName is a name that no volume has.
func (g *csiGuard) GetPluginName() string { return "kelp.io/csi-guard" }

// CanSupport supports nothing, so that none of what follows is called.
func (g *csiGuard) CanSupport(*volume.Spec) bool { return false }

// GetVolumeName is not called.
func (g *csiGuard) GetVolumeName(*volume.Spec) (string, error) { return "", errNoVolumes }

// RequiresRemount is not called.
func (g *csiGuard) RequiresRemount(*volume.Spec) bool { return false }

// NewMounter is not called.
func (g *csiGuard) NewMounter(*volume.Spec, *corev1.Pod) (volume.Mounter, error) {
	return nil, errNoVolumes
}

// NewUnmounter is not called.
func (g *csiGuard) NewUnmounter(string, types.UID) (volume.Unmounter, error) {
	return nil, errNoVolumes
}

// ConstructVolumeSpec is not called.
func (g *csiGuard) ConstructVolumeSpec(name, _ string) (volume.ReconstructedVolume, error) {
	return volume.ReconstructedVolume{}, fmt.Errorf("volume %s: %w", name, errNoVolumes)
}

// SupportsMountOption is not called.
func (g *csiGuard) SupportsMountOption() bool { return false }

// SupportsSELinuxContextMount is not called.
func (g *csiGuard) SupportsSELinuxContextMount(*volume.Spec) (bool, error) { return false, nil }

var errNoVolumes = errors.New("the CSI guard holds no volumes")
