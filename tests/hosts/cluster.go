package hosts

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Cluster is three servers and an agent, each on a host of its own.
type Cluster struct {
	Servers []*Host // the first one, and those that joined it
	Agent   *Host
}

// BootCluster boots a cluster as a user makes one: a server on SQLite, two that
// join it, and an agent. Started is called for each host when kelp on it has
// said that it is ready, with how long that took. The next one joins when the packaged
// components are ready: a pod that starts while its API moves to etcd ends once.
func (l *Lab) BootCluster(ctx context.Context, kelp, archive string, started func(h *Host, took time.Duration)) (*Cluster, error) {
	c := &Cluster{}
	config := ""
	for _, name := range []string{"server-1", "server-2", "server-3", "agent-1"} {
		h, err := l.Boot(ctx, Spec{Name: name, Bind: map[string]string{KelpPath: kelp}})
		if err != nil {
			return nil, err
		}
		if archive != "" {
			if err := h.CopyIn(ctx, archive, "/var/lib/kelp/images/web.tar"); err != nil {
				return nil, err
			}
		}
		command, token := "server", "token"
		if name == "agent-1" {
			command, token, c.Agent = "agent", "agent-token", h
		} else {
			c.Servers = append(c.Servers, h)
		}
		if first := c.Servers[0]; h != first {
			secret, err := first.Run(ctx, "cat", "/var/lib/kelp/server/"+token)
			if err != nil {
				return nil, err
			}
			config = fmt.Sprintf("server: https://%s:6443\ntoken: %s\n", first.Address, strings.TrimSpace(secret))
		}
		if err := h.InstallKelp(ctx, command, config); err != nil {
			return nil, err
		}
		took, err := h.StartKelp(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, h.journal(ctx))
		}
		started(h, took)
		if err := Until(ctx, time.Minute, func(ctx context.Context) error { return deployed(ctx, c.Servers[0]) }); err != nil {
			return nil, fmt.Errorf("wait for the packaged components after %s: %w", name, err)
		}
	}
	return c, nil
}

// deployed says whether the packaged components are there and ready.
func deployed(ctx context.Context, server *Host) error {
	for _, name := range []string{"coredns", "local-path-provisioner", "metrics-server"} {
		out, err := server.Run(ctx, KelpPath, "kubectl", "-n", "kube-system", "get", "deployment", name, "-o", "jsonpath={.status.availableReplicas}")
		if err != nil {
			return err
		}
		if strings.TrimSpace(out) != "1" {
			return fmt.Errorf("%s is not available", name)
		}
	}
	return nil
}

func (h *Host) journal(ctx context.Context) string {
	out, err := h.Run(ctx, "journalctl", "--unit=kelp", "--lines=20", "--no-pager", "--output=cat")
	if err != nil {
		return err.Error()
	}
	return out
}
