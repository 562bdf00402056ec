package rollout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/containerd/log"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/trial"
	"github.com/kelp-project/kelp/pkg/upgrade"
	"github.com/kelp-project/kelp/pkg/version"
)

// Machine upgrades the machine that it runs on when it is its turn.
type Machine struct {
	cfg     config.Config
	restart func()
	told    types.UID // of the Upgrade whose failure was told
}

// NewMachine returns that of a node. Restart has a kelp start anew that is no
// service of systemd's.
func NewMachine(cfg config.Config, restart func()) *Machine {
	return &Machine{cfg: cfg, restart: restart}
}

// Run follows the cluster's Upgrades until ctx ends.
func (m *Machine) Run(ctx context.Context) error {
	c, err := connect(pki.KubeconfigOf(m.cfg.Paths(), pki.Kubelet))
	if err != nil {
		return err
	}
	follow(ctx, c.dynamic, func(ctx context.Context, all []Upgrade) (time.Duration, error) {
		if err := m.tidy(all); err != nil {
			log.G(ctx).WithError(err).Warn("programs of upgrades that are over stay on the disk")
		}
		u, there := active(all)
		if !there {
			return idle, nil
		}
		if u.Status.node(m.cfg.Node.Name).State != Running || m.told == u.UID || version.Version == u.Spec.Version {
			return idle, nil
		}
		err := m.turn(ctx, u)
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err == nil:
			return again, nil // the restart comes
		}
		log.G(ctx).WithError(err).WithField("version", u.Spec.Version).Error("this machine was not upgraded")
		if err := tell(ctx, c.kube, m.cfg.Node.Name, report{u.UID, err.Error()}); err != nil {
			return 0, err
		}
		m.told = u.UID
		return idle, nil
	})
	return nil
}

// turn upgrades this machine, up to the restart. After one that went back it says
// why.
func (m *Machine) turn(ctx context.Context, u Upgrade) error {
	store := trial.Store{Dir: m.cfg.Paths().Upgrade}
	if _, there, err := store.Read(); there || err != nil {
		return err // it is on trial
	}
	last, was, err := store.Last()
	if err != nil {
		return err
	}
	if was && !last.Succeeded && last.For == string(u.UID) {
		return errors.New(last.Reason)
	}
	running, err := upgrade.Look(ctx, m.cfg.Paths().StatusSocket)
	if err != nil {
		return err
	}
	entry := log.G(ctx).WithField("version", u.Spec.Version)
	entry.WithField("source", u.Spec.URL).Info("it is this machine's turn to be upgraded")
	it := &upgrade.Upgrade{
		Running: running, Config: m.cfg, Tell: func(line string) { entry.Info(line) },
		Restart: func(context.Context) error { m.restart(); return nil },
	}
	if ours(u.Spec.URL) {
		if it.Client, err = m.client(); err != nil {
			return err
		}
		defer it.Client.CloseIdleConnections()
	}
	record, err := it.Prepare(ctx, upgrade.Request{Source: u.Spec.URL, SHA256: u.Spec.SHA256, Version: u.Spec.Version, Timeout: u.timeout(), For: string(u.UID)})
	if err != nil {
		return err
	}
	if err := it.Switch(ctx); err != nil {
		return errors.Join(err, store.Abandon(record.ID, err.Error()))
	}
	return nil
}

// ours says whether a URL is one of a program that a server hands out.
func ours(url string) bool { return strings.Contains(url, programsPath) }

// client asks the cluster's servers, as the node that this machine is.
func (m *Machine) client() (*http.Client, error) {
	tls, err := join.TLS(m.cfg.Paths())
	if err != nil {
		return nil, fmt.Errorf("ask a server for the program: %w", err)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: tls}}, nil
}
