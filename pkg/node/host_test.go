package node

import (
	"io/fs"
	"slices"
	"testing"

	"github.com/containerd/cgroups/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/node/containerd"
)

func TestSystemdCgroup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode    cgroups.CGMode
		systemd bool
		want    bool
	}{
		{cgroups.Unified, true, true},
		{cgroups.Unified, false, false},
		{cgroups.Legacy, true, false},
		{cgroups.Hybrid, true, false},
		{cgroups.Legacy, false, false},
	} {
		if got := systemdCgroup(c.mode, c.systemd); got != c.want {
			t.Errorf("mode %v, systemd %v: %v", c.mode, c.systemd, got)
		}
	}
}

func TestResolvConf(t *testing.T) {
	t.Parallel()
	const stub, real = "nameserver 127.0.0.53\noptions edns0\n", "# from DHCP\nnameserver 192.0.2.1\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a plain host":              {map[string]string{hostResolvConf: real}, hostResolvConf},
		"systemd-resolved":          {map[string]string{hostResolvConf: stub, systemdResolvConf: real}, systemdResolvConf},
		"a stub with nothing to it": {map[string]string{hostResolvConf: stub, systemdResolvConf: "# none\n"}, ""},
		"one on loopback among two": {map[string]string{hostResolvConf: real + "nameserver ::1\n"}, ""},
		"an empty file":             {map[string]string{hostResolvConf: ""}, ""},
		"no file":                   {nil, ""},
	} {
		got := resolvConf(func(path string) ([]byte, error) {
			if text, ok := c.files[path]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		})
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	if got := modules(config.BackendWireGuard); !slices.Contains(got, "wireguard") || slices.Contains(got, "vxlan") {
		t.Errorf("got %v", got)
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	host, err := Observe(t.Context(), config.Default())
	if err != nil {
		t.Fatal(err)
	}
	if host.ResolvConf != "" && host.ResolvConf != hostResolvConf && host.ResolvConf != systemdResolvConf {
		t.Errorf("resolvers are in %q", host.ResolvConf)
	}
}

func TestAHostWithoutResolversGetsAFile(t *testing.T) {
	t.Parallel()
	runtime := containerd.Look(config.Default(), containerd.Inputs{})
	in := kubeletInputs(config.Default(), Host{}, runtime)
	if in.ResolvConf != "/run/kelp/resolv.conf" || !in.WriteResolvConf {
		t.Errorf("got %q, written %v", in.ResolvConf, in.WriteResolvConf)
	}
	if in := kubeletInputs(config.Default(), Host{ResolvConf: hostResolvConf}, runtime); in.WriteResolvConf {
		t.Error("a host's own file would be overwritten")
	}
}
