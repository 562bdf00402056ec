package containerd

import (
	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"

	"github.com/kelp-project/kelp/pkg/config"
)

// Look returns containerd to look at its configuration, and not to run it. Unlike
// New it may be called while one runs.
func Look(cfg config.Config, in Inputs) *Containerd { return &Containerd{cfg: cfg, in: in} }

// Effective is the configuration with the user's drop-ins over it.
func (c *Containerd) Effective() (*srvconfig.Config, error) {
	conf := Config(c.cfg, c.in)
	dropIns, err := readDropIns(c.cfg.Containerd.ConfigDir)
	if err != nil {
		return nil, err
	}
	return conf, apply(conf, c.cfg, dropIns)
}

// Check refuses drop-ins that cannot work.
func (c *Containerd) Check() error {
	_, err := c.Effective()
	return err
}

// CgroupDriver is how containers' cgroups are made, as the kubelet calls it: systemd
// or cgroupfs. Where drop-ins cannot be read, which Check tells, it is kelp's choice.
func (c *Containerd) CgroupDriver() string {
	conf, err := c.Effective()
	if err != nil {
		conf = Config(c.cfg, c.in)
	}
	on, _ := valueAt(conf.Plugins, []string{pluginCRIRuntime, "containerd", "runtimes", defaultRuntime, "options", "SystemdCgroup"})
	if on == true {
		return "systemd"
	}
	return "cgroupfs"
}
