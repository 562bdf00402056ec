package containerd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/tests/guide"
)

// look is containerd with drop-ins, by their names.
func look(t *testing.T, change func(*config.Config), files map[string]string) *Containerd {
	t.Helper()
	cfg := config.Default()
	cfg.Containerd.ConfigDir = t.TempDir()
	if change != nil {
		change(&cfg)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(cfg.Containerd.ConfigDir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Look(cfg, Inputs{})
}

// refused is what is said of one drop-in, without its directory.
func refused(t *testing.T, change func(*config.Config), text string) string {
	t.Helper()
	c := look(t, change, map[string]string{"x.toml": text})
	err := c.Check()
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), c.cfg.Containerd.ConfigDir+"/", "")
}

// setting is a value of the effective configuration.
func setting(t *testing.T, c *Containerd, path ...string) any {
	t.Helper()
	conf, err := c.Effective()
	if err != nil {
		t.Fatal(err)
	}
	value, _ := valueAt(conf.Plugins, path)
	return value
}

// The guide's file as it stands is of the version before the last but one. What it says
// of sockets, networks and mirrors is said elsewhere in kelp; all the rest is in force,
// where the newest version has it.
func TestGuideConfiguration(t *testing.T) {
	t.Parallel()
	block := guide.Block("containerd.toml")
	want := `x.toml:4: grpc.address is set by kelp; its socket is kelp's: see containerd.sock below /run/kelp
x.toml:18: plugins."io.containerd.grpc.v1.cri".registry.mirrors is set by kelp; write it into the file of containerd.registries, as mirrors and configs
x.toml:16: plugins."io.containerd.grpc.v1.cri".cni.conf_dir is set by kelp; set network.backend to none to bring your own network, whose configuration is in /etc/cni/net.d`
	if got := refused(t, nil, block); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	c := look(t, nil, map[string]string{"guide.toml": guide.Without(block, "[grpc]", "address =", "registry", "conf_dir")})
	for path, want := range map[string]any{
		pluginCRIImages + " pinned_images sandbox":                           "k8s.gcr.io/pause:3.9",
		pluginCRIImages + " snapshotter":                                     "overlayfs",
		pluginCRIRuntime + " containerd default_runtime_name":                "runc",
		pluginCRIRuntime + " containerd runtimes runc runtime_type":          "io.containerd.runc.v2",
		pluginCRIRuntime + " containerd runtimes runc options SystemdCgroup": true,
		pluginCRIRuntime + " containerd runtimes runc options BinaryName":    "/var/lib/kelp/bin/runc",
		pluginCRIRuntime + " cni bin_dirs":                                   []string{"/var/lib/kelp/bin/cni", "/opt/cni/bin"},
		pluginCRIRuntime + " cni conf_dir":                                   "/var/lib/kelp/agent/cni/net.d",
		pluginCRI + " stream_server_address":                                 "127.0.0.1",
	} {
		if diff := cmp.Diff(want, setting(t, c, strings.Fields(path)...)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	if driver := c.CgroupDriver(); driver != "systemd" {
		t.Errorf("the kelp's kubelet would make cgroups by %s", driver)
	}
}

// Those who bring their own network have its configuration where the guide has it.
func TestOwnNetworkMayBeElsewhere(t *testing.T) {
	t.Parallel()
	own := func(cfg *config.Config) { cfg.Network.Backend = config.BackendNone }
	c := look(t, own, map[string]string{"guide.toml": guide.Without(guide.Block("containerd.toml"), "[grpc]", "address =", "registry")})
	if got := setting(t, c, pluginCRIRuntime, "cni", "conf_dir"); got != "/etc/cni/net.d" {
		t.Errorf("the network's configuration is looked for in %v", got)
	}
}

func TestDropInsAreMergedByName(t *testing.T) {
	t.Parallel()
	c := look(t, nil, map[string]string{
		"20-b.toml": "version = 3\n[plugins.'io.containerd.cri.v1.images']\nmax_concurrent_downloads = 7\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun]\nruntime_type = 'io.containerd.runc.v2'\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun.options]\nBinaryName = '/usr/bin/crun'\n",
		"10-a.toml": "version = 4\n[plugins.'io.containerd.cri.v1.images']\nmax_concurrent_downloads = 5\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/usr/lib/cni']\n[timeouts]\n'io.containerd.timeout.shim.load' = '9s'\n",
		"notes.txt": "not TOML",
	})
	if got := setting(t, c, pluginCRIImages, "max_concurrent_downloads"); got != int64(7) {
		t.Errorf("downloads: %v", got)
	}
	if diff := cmp.Diff([]string{"/var/lib/kelp/bin/cni", "/opt/cni/bin", "/usr/lib/cni"}, setting(t, c, pluginCRIRuntime, "cni", "bin_dirs")); diff != "" {
		t.Error(diff)
	}
	runtimes, _ := setting(t, c, pluginCRIRuntime, "containerd", "runtimes").(map[string]any)
	if runtimes["runc"] == nil || runtimes["crun"] == nil {
		t.Errorf("runtimes: %v", runtimes)
	}
	conf, err := c.Effective()
	if err != nil || conf.Timeouts["io.containerd.timeout.shim.load"] != "9s" {
		t.Errorf("timeouts: %v, %v", conf.Timeouts, err)
	}
	if again := setting(t, look(t, nil, nil), pluginCRIImages, "max_concurrent_downloads"); again != nil {
		t.Errorf("one configuration changes another: %v", again)
	}
}

func TestDropInsRefuse(t *testing.T) {
	t.Parallel()
	const images, runtime = "version = 3\n[plugins.'io.containerd.cri.v1.images']\n", "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\n"
	for text, want := range map[string]string{
		"version = 2\n[grpc\n":                                         "x.toml:2: not TOML: ",
		"root = '/x'\n":                                                "x.toml:1: version 0 of containerd's configuration was removed in containerd 2.0; write version = 2 or a later one",
		"# one\nversion = 9\n":                                         "x.toml:2: version 9 of containerd's configuration is newer than this containerd, which reads up to 4",
		"version = 3\nroot = '/x'\n":                                   "x.toml:2: root is set by kelp; set dataDir",
		"version = 3\n[debug]\nlevel = 'debug'\n":                      "x.toml:2: debug is set by kelp; there is one log: set log.level and log.format",
		"version = 3\nrequired_plugin = []\n":                          "x.toml:2: containerd has no required_plugin; did you mean required_plugins?",
		"version = 3\n[plugins.'io.containerd.cri.v1.imags']\nx = 1\n": `x.toml:2: containerd has no plugin "io.containerd.cri.v1.imags"; did you mean io.containerd.cri.v1.images?`,
		"version = 3\n[plugins.'io.containerd.snapshotter.v1.zfs']\nroot_path = '/x'\n":                                        `x.toml:2: plugin "io.containerd.snapshotter.v1.zfs" is switched off in kelp, which has no use for it`,
		images + "max_concurrent_download = 3\n":                                                                               `x.toml:3: plugin "io.containerd.cri.v1.images" has no setting max_concurrent_download; did you mean max_concurrent_downloads?`,
		images + "max_concurrent_downloads = 'many'\n":                                                                         "x.toml:3: ",
		images + "snapshotter = 'native'\n":                                                                                    `x.toml:3: plugins."io.containerd.cri.v1.images".snapshotter is set by kelp; set containerd.snapshotter`,
		runtime + "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\nSystemdCgroups = true\n":         "x.toml:4: runtime runc has no option SystemdCgroups; did you mean SystemdCgroup?",
		"version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsystemd_cgroup = true\n":                                          `x.toml:3: plugins."io.containerd.grpc.v1.cri".systemd_cgroup was removed in containerd 2.0; set SystemdCgroup in the options of the runtime`,
		"version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.old]\nruntime_type = 'io.containerd.runc.v1'\n": "x.toml:3: runtime_type io.containerd.runc.v1 was removed in containerd 2.0; use io.containerd.runc.v2",
		"version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_imag = 'x'\n":                                             `x.toml:3: plugin "io.containerd.cri.v1.runtime" has no setting sandbox_imag`,
	} {
		if got := refused(t, nil, text); !strings.HasPrefix(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}

// A name that is said to be gone and is there again would be refused for nothing.
func TestGoneKeysAreGone(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, r := range registrations() {
		known[r.URI()] = true
	}
	for gone := range goneKeys {
		path := strings.Split(gone, "/")
		if len(path) == 2 && known[path[1]] {
			t.Errorf("containerd has the plugin %s", path[1])
		}
	}
	for _, name := range []string{"systemd_cgroup", "untrusted_workload_runtime", "default_runtime", "runtime_engine", "runtime_root"} {
		text := "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\n" + name + " = 'x'\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\n" + name + " = 'x'\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.x]\n" + name + " = 'x'\n"
		if got := refused(t, nil, text); strings.Count(got, "has no setting") != 3 {
			t.Errorf("containerd reads %s: %s", name, got)
		}
	}
}
