package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/tests/hosts"
)

// ClusterFigures are what was measured of three servers and an agent. Times are
// in seconds; those of the joins are from systemd's start of kelp to its being
// ready, the move from SQLite to etcd being part of the second server's. A machine joins
// when the packaged components of those before it are ready.
type ClusterFigures struct {
	SecondServer float64   `json:"secondServerReadySeconds"`
	ThirdServer  float64   `json:"thirdServerReadySeconds"`
	Agent        float64   `json:"agentReadySeconds"`
	Failovers    []float64 `json:"failoverSeconds"` // for how long no write went through
	AgentUsage   Usage     `json:"agent"`
}

// failovers is how often the leader is killed.
const failovers = 5

func (b *bench) measureCluster(ctx context.Context) (f *ClusterFigures, err error) {
	f = &ClusterFigures{}
	defer func() {
		for _, h := range b.lab.Hosts() {
			if err != nil {
				h.Dump(ctx, os.Stderr)
			}
			err = errors.Join(err, h.Stop(ctx))
		}
	}()
	took := map[string]float64{}
	cluster, err := b.lab.BootCluster(ctx, b.kelp, b.archive, func(h *hosts.Host, d time.Duration) { took[h.Name] = d.Seconds() })
	if err != nil {
		return f, err
	}
	f.SecondServer, f.ThirdServer, f.Agent = took["server-2"], took["server-3"], took["agent-1"]
	if err := pause(ctx, b.settle); err != nil {
		return f, err
	}
	agent := &subject{bench: b, system: kelp{}, host: cluster.Agent}
	before, err := agent.processes(ctx)
	if err != nil {
		return f, err
	}
	if err := pause(ctx, b.idle); err != nil {
		return f, err
	}
	after, err := agent.processes(ctx)
	if err != nil {
		return f, err
	}
	f.AgentUsage, _, _ = usage(before, after, b.idle.Seconds())
	for range failovers {
		gap, err := failover(ctx, cluster)
		if err != nil {
			return f, err
		}
		f.Failovers = append(f.Failovers, gap.Seconds())
	}
	slices.Sort(f.Failovers)
	return f, nil
}

// failover kills the server whose etcd member leads while somebody writes
// through the agent, and returns the longest time between two writes.
func failover(ctx context.Context, c *hosts.Cluster) (time.Duration, error) {
	leader, err := settled(ctx, c)
	if err != nil {
		return 0, err
	}
	_, config, err := client(ctx, c.Servers[0], kelp{})
	if err != nil {
		return 0, err
	}
	config.Host, config.Dial = "https://127.0.0.1:6444", c.Agent.Dial
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, fmt.Errorf("make a client: %w", err)
	}
	w := &writer{maps: api}
	if err := w.until(ctx, 5); err != nil {
		return 0, err
	}
	w.longest = 0
	if err := leader.Kill9(ctx, "kelp"); err != nil {
		return 0, err
	}
	if err := w.until(ctx, 40); err != nil {
		return 0, err
	}
	if _, err := leader.Run(ctx, "systemctl", "reset-failed", "kelp"); err != nil {
		return 0, err
	}
	_, err = leader.StartKelp(ctx)
	return w.longest, err
}

// writer writes, one write after the other.
type writer struct {
	maps    kubernetes.Interface
	last    time.Time
	longest time.Duration
}

// until writes until so many writes were acknowledged.
func (w *writer) until(ctx context.Context, wanted int) error {
	for done := 0; done < wanted; {
		one, cancel := context.WithTimeout(ctx, time.Second)
		_, err := w.maps.CoreV1().ConfigMaps("default").Create(one, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "failover-"}}, metav1.CreateOptions{})
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			if !w.last.IsZero() {
				w.longest = max(w.longest, time.Since(w.last))
			}
			w.last = time.Now()
			done++
		} else if !w.last.IsZero() && time.Since(w.last) > stepLimit {
			return fmt.Errorf("no write for %s: %w", stepLimit, err)
		}
		if err := pause(ctx, writeInterval); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until all three vote and answer, and returns the leader.
func settled(ctx context.Context, c *hosts.Cluster) (leader *hosts.Host, err error) {
	return leader, hosts.Until(ctx, stepLimit, func(ctx context.Context) error {
		out, err := c.Servers[0].Run(ctx, hosts.KelpPath, "etcd", "members", "-o", "json")
		if err != nil {
			return err
		}
		var members []struct {
			Name                       string
			Learner, Leader, Reachable bool
		}
		if err := json.Unmarshal([]byte(out), &members); err != nil {
			return fmt.Errorf("read etcd's members: %w", err)
		}
		voters := 0
		for _, m := range members {
			if m.Reachable && !m.Learner {
				voters++
			}
			if m.Leader {
				leader = c.Servers[slices.IndexFunc(c.Servers, func(h *hosts.Host) bool { return h.Name == m.Name })]
			}
		}
		if voters != 3 || leader == nil {
			return fmt.Errorf("%d voters answer", voters)
		}
		return nil
	})
}
