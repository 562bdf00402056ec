package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/containerd/log"
	"github.com/flannel-io/flannel/pkg/backend"
	"github.com/flannel-io/flannel/pkg/subnet"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// ErrNotRegistered is returned by Ready until packets can flow.
var ErrNotRegistered = errors.New("the node is not registered with the network yet")

// Network is the pod network of this node.
type Network struct {
	cfg   config.Config
	in    Inputs
	ready atomic.Bool
}

// New returns the network, not yet running.
func New(cfg config.Config, in Inputs) *Network { return &Network{cfg: cfg, in: in} }

// Run sets the network up and keeps it until ctx ends. What pods use stays.
func (n *Network) Run(ctx context.Context) error {
	if n.cfg.Network.Backend == config.BackendNone {
		n.ready.Store(true)
		<-ctx.Done()
		return nil
	}
	err := n.run(ctx)
	if ctx.Err() != nil {
		return nil // an error while stopping is that of a cut connection
	}
	return err
}

func (n *Network) run(ctx context.Context) error {
	text, err := NetConf(n.cfg, n.in)
	if err != nil {
		return err
	}
	conf, err := subnet.ParseConfig(string(text))
	if err != nil {
		return fmt.Errorf("read flannel configuration: %w", err)
	}
	ext, err := link(n.cfg, conf)
	if err != nil {
		return err
	}
	apply(ctx, procSys, settings(n.cfg, ext.IfaceName))
	cidrs, err := podCIDRs(ctx, n.in.OwnNode, n.cfg.Node.Name)
	if err != nil {
		return err
	}
	node := Node{PodCIDRs: cidrs, MTU: ext.Iface.MTU - overhead(n.cfg)}
	if err := n.writeConflist(node); err != nil {
		return err
	}
	log.G(ctx).WithField("path", n.cfg.Paths().CNIConf).Debug("wrote the CNI configuration")
	return n.carry(ctx, conf, ext, node)
}

// carry sets the rules and runs flannel until ctx ends.
func (n *Network) carry(ctx context.Context, conf *subnet.Config, ext *backend.ExternalInterface, node Node) error {
	rules := newTraffic(n.in, conf, node)
	if err := rules.ensure(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { rules.keep(ctx) })
	return flannel(ctx, n.cfg, n.in, conf, ext, func(mtu int) error {
		defer n.ready.Store(true)
		node.MTU = min(node.MTU, mtu)
		return n.writeConflist(node)
	})
}

// Ready says whether the conflist, the rules and the backend are in place.
func (n *Network) Ready(context.Context) error {
	if !n.ready.Load() {
		return ErrNotRegistered
	}
	return nil
}

// writeConflist puts the CNI configuration in place. containerd watches the
// directory: it tries to load whatever is written there, and ignores what
// appears. So the file is written above the directory, moved into it, and
// gets its name by a second move within it, which containerd heeds.
func (n *Network) writeConflist(node Node) error {
	text, err := Conflist(n.cfg, n.in, node)
	if err != nil {
		return err
	}
	dir := n.cfg.Paths().CNIConf
	target := filepath.Join(dir, conflistName)
	if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, text) && modeOf(target) == conflistMode {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create CNI directory: %w", err)
	}
	above, within := filepath.Join(filepath.Dir(dir), conflistName), filepath.Join(dir, ".draft")
	if err := atomicfile.Write(above, text, conflistMode); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(above, within), os.Rename(within, target)); err != nil {
		return fmt.Errorf("put CNI configuration in place: %w", err)
	}
	return atomicfile.SyncDir(dir)
}

// conflistMode is that of the CNI configuration: containerd, and the plugins that it
// starts, are root's.
const conflistMode os.FileMode = 0o600

// modeOf is a file's permissions, or none when it is not there.
func modeOf(path string) os.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Mode().Perm()
}
