package containerd

import (
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/version"

	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/images"
)

// The plugins that are configured or switched off here, by their URIs.
const (
	pluginGRPC       = "io.containerd.server.v1.grpc"
	pluginTTRPC      = "io.containerd.server.v1.ttrpc"
	pluginCRI        = "io.containerd.grpc.v1.cri"
	pluginCRIImages  = "io.containerd.cri.v1.images"
	pluginCRIRuntime = "io.containerd.cri.v1.runtime"
	pluginTransfer   = "io.containerd.transfer.v1.local"
	pluginTask       = "io.containerd.runtime.v2.task"
	pluginShim       = "io.containerd.shim.v1.manager"
	pluginNRI        = "io.containerd.nri.v1.nri"
)

// disabled are plugins that kelp has no use for. Each of the snapshotters
// would probe the data directory and warn; opt puts /opt/containerd/bin at
// the front of this process's PATH; the tracing plugins look for a collector.
var disabled = []string{
	"io.containerd.internal.v1.opt",
	"io.containerd.internal.v1.tracing",
	"io.containerd.tracing.processor.v1.otlp",
	"io.containerd.snapshotter.v1.blockfile",
	"io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper",
	"io.containerd.snapshotter.v1.erofs",
	"io.containerd.snapshotter.v1.zfs",
	"io.containerd.differ.v1.erofs",
	"io.containerd.mount-handler.v1.erofs",
	"io.containerd.server.v1.debug",
	"io.containerd.server.v1.metrics",
	"io.containerd.server.v1.grpc-tcp",
}

// Inputs is what Config needs to know of the host.
type Inputs struct {
	// SystemdCgroup says that runc asks systemd for cgroups instead of
	// making them itself. The kubelet learns it from the CRI.
	SystemdCgroup bool
	// RestrictOOMScoreAdj is set where the process may not lower a score,
	// for want of CAP_SYS_RESOURCE.
	RestrictOOMScoreAdj bool
	// Runtimes are the runtimes that were found beside runc.
	Runtimes []Runtime
}

// Config is containerd's whole configuration.
func Config(cfg config.Config, in Inputs) *srvconfig.Config {
	p := cfg.Paths()
	return &srvconfig.Config{
		Version:         version.ConfigVersion,
		Root:            p.ContainerdRoot,
		State:           p.ContainerdState,
		DisabledPlugins: disabled,
		RequiredPlugins: []string{
			"io.containerd.snapshotter.v1." + string(cfg.Containerd.Snapshotter),
			pluginTask, pluginCRI, pluginCRIImages, pluginCRIRuntime, pluginGRPC, pluginTTRPC,
		},
		Plugins: map[string]any{
			pluginGRPC:  map[string]any{"address": p.ContainerdSocket, "uid": 0, "gid": 0},
			pluginTTRPC: map[string]any{"address": p.ContainerdSocket + ".ttrpc", "uid": 0, "gid": 0},
			// Upstream's is /run/containerd/s, which another containerd may use.
			pluginShim: map[string]any{"socket_dir": filepath.Join(p.ContainerdState, "s")},
			pluginNRI:  nri(cfg),
			// A pull through `ctr` uses the registries that pods use.
			pluginTransfer:   map[string]any{"config_path": p.ContainerdHosts},
			pluginCRI:        criServer(),
			pluginCRIImages:  criImages(cfg),
			pluginCRIRuntime: criRuntime(cfg, in),
		},
	}
}

// PluginTimeout is how long a plugin may hold a pod back.
const PluginTimeout = 5 * time.Second

// nri is there for kelp's own plugin alone, and also while that is switched off,
// for it may be switched on again. Its usual places may be those of
// another containerd on this machine.
func nri(cfg config.Config) map[string]any {
	if cfg.Network.Backend == config.BackendNone {
		return map[string]any{"disable": true}
	}
	p := cfg.Paths()
	return map[string]any{
		"disable":                false,
		"socket_path":            p.NRISocket,
		"plugin_path":            filepath.Join(p.NRI, "plugins"),
		"plugin_config_path":     filepath.Join(p.NRI, "conf.d"),
		"plugin_request_timeout": PluginTimeout.String(),
	}
}

func criServer() map[string]any {
	return map[string]any{
		"disable_tcp_service":   true,
		"stream_server_address": "127.0.0.1",
		"stream_server_port":    "0",
	}
}

func criImages(cfg config.Config) map[string]any {
	return map[string]any{
		"snapshotter":   string(cfg.Containerd.Snapshotter),
		"pinned_images": map[string]any{"sandbox": images.Pause},
		"registry":      map[string]any{"config_path": cfg.Paths().ContainerdHosts},
	}
}

func criRuntime(cfg config.Config, in Inputs) map[string]any {
	return map[string]any{
		"containerd": map[string]any{
			"default_runtime_name": defaultRuntime,
			"runtimes":             runtimeTable(cfg.Paths(), in),
		},
		"cni":                    cni(cfg),
		"restrict_oom_score_adj": in.RestrictOOMScoreAdj,
		// Upstream looks at every pod's cgroup each second, for crictl stats.
		// This is how often the kubelet's own figures are taken.
		"stats_collect_period": "10s",
		// Any container may bind port 80 and ping: its network namespace is its own.
		"enable_unprivileged_ports": true,
		"enable_unprivileged_icmp":  true,
		// Not in /var/run/netns: what is mounted there may be somebody else's.
		"netns_mounts_under_state_dir": true,
	}
}

// cni says where network plugins are. With --network=none the directories are
// those where the plugins that people bring put themselves. The loopback
// interface is brought up by containerd itself, which saves a process per pod.
func cni(cfg config.Config) map[string]any {
	p := cfg.Paths()
	conf := p.CNIConf
	if cfg.Network.Backend == config.BackendNone {
		conf = "/etc/cni/net.d"
	}
	return map[string]any{
		"bin_dirs":              []string{p.CNIBin, "/opt/cni/bin"},
		"conf_dir":              conf,
		"max_conf_num":          1,
		"use_internal_loopback": true,
	}
}
