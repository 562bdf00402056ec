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
// said that it is ready, with how long that took; the next one joins when it returns.
func (l *Lab) BootCluster(ctx context.Context, kelp, archive string, started func(h *Host, took time.Duration) error) (*Cluster, error) {
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
		if err := started(h, took); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (h *Host) journal(ctx context.Context) string {
	out, err := h.Run(ctx, "journalctl", "--unit=kelp", "--lines=20", "--no-pager", "--output=cat")
	if err != nil {
		return err.Error()
	}
	return out
}
