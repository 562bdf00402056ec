package containerd

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/golden"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	bring := config.Default()
	bring.Network.Backend = config.BackendNone
	bring.Containerd.Snapshotter = config.SnapshotterNative
	bring.DataDir = "/srv/kelp"
	for name, c := range map[string]struct {
		cfg config.Config
		in  Inputs
	}{
		"config.single.toml": {config.Default(), Inputs{}},
		"config.systemd.toml": {config.Default(), Inputs{SystemdCgroup: true, Runtimes: []Runtime{
			{Handler: "crun", Type: runcShim, Binary: "/usr/bin/crun"},
			{Handler: "kata", Type: "io.containerd.kata.v2", Shim: "/opt/kata/bin/containerd-shim-kata-v2"},
		}}},
		"config.own-cni.toml": {bring, Inputs{RestrictOOMScoreAdj: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := toml.Marshal(Config(c.cfg, c.in))
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, name, text)
		})
	}
}

func TestNothingListensOnTheNetwork(t *testing.T) {
	t.Parallel()
	c := Config(config.Default(), Inputs{})
	cri := c.Plugins[pluginCRI].(map[string]any)
	if cri["stream_server_address"] != "127.0.0.1" || cri["disable_tcp_service"] != true {
		t.Errorf("the CRI listens beyond loopback: %v", cri)
	}
	//lint:ignore SA1019 containerd still listens there when they are set
	if c.GRPC.TCPAddress != "" || c.Debug.Address != "" || c.Metrics.Address != "" {
		t.Errorf("an address is open: %+v", c)
	}
}

func TestRuntimes(t *testing.T) {
	t.Parallel()
	have := map[string]string{"crun": "/usr/bin/crun", "containerd-shim-runsc-v1": "/usr/local/bin/containerd-shim-runsc-v1", "runc": "/usr/bin/runc"}
	got := Runtimes(func(program string) (string, error) {
		if path, ok := have[program]; ok {
			return path, nil
		}
		return "", exec.ErrNotFound
	})
	want := []Runtime{
		{Handler: "crun", Type: "io.containerd.runc.v2", Binary: "/usr/bin/crun"},
		{Handler: "runsc", Type: "io.containerd.runsc.v1", Shim: "/usr/local/bin/containerd-shim-runsc-v1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if none := Runtimes(func(string) (string, error) { return "", errors.New("no") }); len(none) != 0 {
		t.Errorf("found %v where there is nothing", none)
	}
}
