package containerd

import (
	"fmt"
	"slices"

	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
)

// merge puts what a file says over kelp's configuration: a table is merged, anything
// else replaces.
func merge(conf, given *srvconfig.Config) {
	own := ownBinDirs(conf)
	overlay(conf.Plugins, given.Plugins)
	if runtime, ok := conf.Plugins[pluginCRIRuntime].(map[string]any); ok {
		if cni, ok := runtime["cni"].(map[string]any); ok {
			cni["bin_dirs"] = withOwn(own, cni["bin_dirs"])
		}
	}
	for _, p := range given.RequiredPlugins {
		if !slices.Contains(conf.RequiredPlugins, p) {
			conf.RequiredPlugins = append(slices.Clip(conf.RequiredPlugins), p)
		}
	}
	conf.Timeouts = over(conf.Timeouts, given.Timeouts)
	conf.ProxyPlugins = over(conf.ProxyPlugins, given.ProxyPlugins)
	conf.StreamProcessors = over(conf.StreamProcessors, given.StreamProcessors)
}

func over[V any](own, given map[string]V) map[string]V {
	if own == nil && len(given) > 0 {
		own = map[string]V{}
	}
	for key, value := range given {
		own[key] = value
	}
	return own
}

func overlay(own, given map[string]any) {
	for key, value := range given {
		table, isTable := value.(map[string]any)
		before, wasTable := own[key].(map[string]any)
		if isTable && wasTable {
			overlay(before, table)
		} else {
			own[key] = value
		}
	}
}

// ownBinDirs are the directories of CNI plugins that kelp's network cannot do without.
func ownBinDirs(conf *srvconfig.Config) []string {
	runtime, _ := conf.Plugins[pluginCRIRuntime].(map[string]any)
	cni, _ := runtime["cni"].(map[string]any)
	dirs, _ := cni["bin_dirs"].([]string)
	return dirs
}

func withOwn(own []string, given any) []string {
	dirs := slices.Clone(own)
	add := func(dir string) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	switch list := given.(type) {
	case []string:
		for _, dir := range list {
			add(dir)
		}
	case []any:
		for _, dir := range list {
			add(fmt.Sprint(dir))
		}
	}
	return dirs
}
