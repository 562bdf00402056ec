package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
)

// procSys is where the kernel's settings are.
const procSys = "/proc/sys"

// setting is one kernel setting that pods' packets need.
type setting struct {
	path     string // below /proc/sys
	value    string
	optional bool // absent where the kernel's module is not loaded
}

// settings returns what is needed for the families of the cluster.
func settings(cfg config.Config, link string) []setting {
	var out []setting
	for _, c := range cfg.Network.ClusterCIDRs {
		if c.Addr().Is4() {
			out = append(out,
				setting{path: "net/ipv4/ip_forward", value: "1"},
				// A pod that asks a Service whose pod is on the same bridge: the
				// answer must pass conntrack too.
				setting{path: "net/bridge/bridge-nf-call-iptables", value: "1", optional: true})
			continue
		}
		out = append(out,
			// A host that forwards ignores router advertisements unless this is 2.
			setting{path: "net/ipv6/conf/" + link + "/accept_ra", value: "2", optional: true},
			setting{path: "net/ipv6/conf/all/forwarding", value: "1"},
			setting{path: "net/bridge/bridge-nf-call-ip6tables", value: "1", optional: true})
	}
	return out
}

// apply sets what differs below root. What is already as asked is not
// written, so that a read-only /proc/sys that is right is no trouble.
func apply(ctx context.Context, root string, wanted []setting) {
	for _, s := range wanted {
		err := set(filepath.Join(root, s.path), s.value)
		if err == nil || (s.optional && errors.Is(err, fs.ErrNotExist)) {
			continue
		}
		log.G(ctx).WithError(err).WithField("path", s.path).Warn("pods' packets may not get through: a kernel setting cannot be changed")
	}
}

func set(path, value string) error {
	now, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(now)) == value {
		return nil
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("change %s to %s: %w", strings.TrimSpace(string(now)), value, err)
	}
	return nil
}
