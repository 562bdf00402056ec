package containerd

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/containerd/v2/version"

	"github.com/kelp-project/kelp/pkg/config"
)

// ownedKey is a key in which a drop-in may only say what kelp says. Keys are written
// with slashes, as plugins have dots in their names, and a star is any name.
type ownedKey struct {
	now    string   // the key in the newest version of the configuration
	before []string // what it was in versions 2 and 3
	advice string
}

const (
	oneProcess = "containerd is a part of kelp's process, about which its unit decides"
	oneLog     = "there is one log: set log.level and log.format"
	ownSocket  = "its socket is kelp's: see containerd.sock below /run/kelp"
	noListener = "nothing of containerd listens but its own sockets"
	mirrors    = "write it into the file of containerd.registries, as mirrors and configs"
)

func ownedKeys(cfg config.Config) []ownedKey {
	const cri, images, runtime = "plugins/" + pluginCRI, "plugins/" + pluginCRIImages, "plugins/" + pluginCRIRuntime
	list := []ownedKey{
		{now: "root", advice: "set dataDir"},
		{now: "state", advice: "it is below /run/kelp"},
		{now: "temp", advice: "set dataDir"},
		{now: "imports", advice: "put the files into containerd.configDir"},
		{now: "oom_score", advice: oneProcess},
		{now: "cgroup", advice: oneProcess},
		{now: "debug", advice: oneLog},
		{now: "metrics", advice: "its figures are among kelp's own"},
		{now: "disabled_plugins", advice: "kelp decides which parts of containerd it needs"},
		{now: "plugins/" + pluginGRPC + "/address", before: []string{"grpc/address"}, advice: ownSocket},
		{now: "plugins/" + pluginTTRPC + "/address", before: []string{"ttrpc/address"}, advice: ownSocket},
		{now: "plugins/io.containerd.server.v1.grpc-tcp", before: []string{"grpc/tcp_address"}, advice: noListener},
		{now: "plugins/io.containerd.server.v1.debug", advice: noListener},
		{now: "plugins/io.containerd.server.v1.metrics", advice: "its figures are among kelp's own"},
		{now: "plugins/" + pluginShim + "/socket_dir", advice: "it is below /run/kelp"},
		{now: "plugins/" + pluginTransfer + "/config_path", advice: mirrors},
		{now: runtime + "/netns_mounts_under_state_dir", before: []string{cri + "/netns_mounts_under_state_dir"}, advice: "they are below /run/kelp"},
		{now: images + "/snapshotter", before: []string{cri + "/containerd/snapshotter"}, advice: "set containerd.snapshotter"},
	}
	for _, name := range []string{"config_path", "mirrors", "configs", "auths"} {
		list = append(list, ownedKey{now: images + "/registry/" + name, before: []string{cri + "/registry/" + name}, advice: mirrors})
	}
	if cfg.Network.Backend != config.BackendNone {
		const own = "set network.backend to none to bring your own network, whose configuration is in /etc/cni/net.d"
		list = append(list,
			ownedKey{now: runtime + "/cni/conf_dir", before: []string{cri + "/cni/conf_dir"}, advice: own},
			ownedKey{now: "plugins/" + pluginNRI, advice: "network policies are enforced through it"})
	}
	return list
}

// goneKeys are keys that containerd 2 has dropped, by what its release notes say.
var goneKeys = map[string]string{
	"plugins/" + pluginCRI + "/systemd_cgroup":                         "set SystemdCgroup in the options of the runtime",
	"plugins/" + pluginCRI + "/containerd/untrusted_workload_runtime":  "make a runtime of the name untrusted in runtimes",
	"plugins/" + pluginCRI + "/containerd/default_runtime":             "set default_runtime_name",
	"plugins/" + pluginCRI + "/containerd/runtimes/*/runtime_engine":   "set BinaryName in the options of the runtime",
	"plugins/" + pluginCRI + "/containerd/runtimes/*/runtime_root":     "set Root in the options of the runtime",
	"plugins/" + pluginCRI + "/containerd/runtimes/*/options/CriuPath": "put criu into PATH",
	"plugins/io.containerd.runtime.v1.linux":                           "use a runtime of the type " + runcShim,
	"plugins/io.containerd.snapshotter.v1.aufs":                        "set containerd.snapshotter to overlayfs",
}

// goneTypes are the types of runtimes that went with them.
var goneTypes = []string{"io.containerd.runtime.v1.linux", "io.containerd.runc.v1"}

// check finds what a file may not say, before anything is made of it.
func (d dropIn) check(conf *srvconfig.Config, cfg config.Config) []error {
	switch v, ok := d.tree["version"].(int64); {
	case !ok || v < 2:
		return []error{d.failf([]string{"version"}, "version %d of containerd's configuration was removed in containerd 2.0; write version = 2 or a later one, and full names of plugins", v)}
	case v > version.ConfigVersion:
		return []error{d.failf([]string{"version"}, "version %d of containerd's configuration is newer than this containerd, which reads up to %d", v, version.ConfigVersion)}
	}
	var errs []error
	for _, key := range ownedKeys(cfg) {
		own, has := valueAt(tableOf(conf), strings.Split(key.now, "/"))
		for _, spelled := range append([]string{key.now}, key.before...) {
			path := strings.Split(spelled, "/")
			given, ok := valueAt(d.tree, path)
			if !ok || has && reflect.DeepEqual(given, own) {
				continue
			}
			errs = append(errs, d.failf(path, "%s is set by kelp; %s", dotted(path), key.advice))
		}
	}
	for _, k := range d.keys {
		for gone, successor := range goneKeys {
			if matches(strings.Split(gone, "/"), k.path) {
				errs = append(errs, d.failf(k.path, "%s was removed in containerd 2.0; %s", dotted(k.path), successor))
			}
		}
		if name, _ := valueAt(d.tree, k.path); k.path[len(k.path)-1] == "runtime_type" && slices.Contains(goneTypes, fmt.Sprint(name)) {
			errs = append(errs, d.failf(k.path, "runtime_type %s was removed in containerd 2.0; use %s", name, runcShim))
		}
	}
	return errs
}

// tableOf is what owned keys are compared with.
func tableOf(conf *srvconfig.Config) map[string]any {
	return map[string]any{"root": conf.Root, "state": conf.State, "temp": conf.TempDir, "plugins": conf.Plugins}
}

func valueAt(tree map[string]any, path []string) (any, bool) {
	var at any = tree
	for _, step := range path {
		table, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = table[step]; !ok {
			return nil, false
		}
	}
	return at, true
}

func matches(pattern, path []string) bool {
	return slices.EqualFunc(pattern, path, func(p, s string) bool { return p == s || p == "*" })
}

// dotted is a key as TOML has it.
func dotted(path []string) string {
	parts := slices.Clone(path)
	for i, part := range parts {
		if strings.ContainsAny(part, ". /:") {
			parts[i] = `"` + part + `"`
		}
	}
	return strings.Join(parts, ".")
}
