package snapshots

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/containerd/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/robfig/cron/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/kelp-project/kelp/pkg/config"
)

const (
	// lookEvery is how often the directory and the clock are looked at.
	lookEvery = 15 * time.Second
	// retryAfter is when a scheduled snapshot that failed is tried again.
	retryAfter = 5 * time.Minute
	// saveLimit bounds a snapshot: of 8 GB, on a slow disk.
	saveLimit = time.Hour
)

// Keeper makes the scheduled snapshots, and shows those that are there.
type Keeper struct {
	cfg        config.Config
	kubeconfig string
	dir        Dir
	now        func() time.Time
	save       func(context.Context, Request) (Entry, error)

	mu      sync.Mutex
	failed  error // of the last scheduled snapshot
	newest  Entry // the newest good one of this server
	cluster *cluster

	notCopied error // of the last copy to the object store
}

// NewKeeper returns a keeper that has looked at nothing yet. The kubeconfig is
// kelp's own.
func NewKeeper(cfg config.Config, kubeconfig string) *Keeper {
	return &Keeper{
		cfg: cfg, kubeconfig: kubeconfig, dir: Dir(cfg.SnapshotDir()), now: time.Now,
		save: func(ctx context.Context, r Request) (Entry, error) { return Save(ctx, cfg, r) },
	}
}

// Show deletes what is surplus in this server's directory, and keeps the objects
// in the API and the metrics at what it holds, until ctx ends.
func (k *Keeper) Show(ctx context.Context) error {
	c, err := k.connect()
	if err != nil {
		return err
	}
	defer k.measure()()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for last := ""; ; {
		list, err := k.keep(ctx)
		if err == nil {
			k.note(list)
			if now := fmt.Sprint(list); now != last {
				if err = c.show(ctx, list); err == nil {
					last = now
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).Debug("snapshots are not shown in the API")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// keep deletes what is surplus, and returns what is there.
func (k *Keeper) keep(ctx context.Context) ([]Entry, error) {
	r := Retention{Keep: k.cfg.Snapshots.Retain, MaxAge: time.Duration(k.cfg.Snapshots.MaxAge)}
	gone, err := k.dir.Prune(r, k.cfg.Node.Name, k.now())
	if err != nil {
		return nil, err
	}
	for _, e := range gone {
		log.G(ctx).WithField("path", e.Location).Debug("deleted a snapshot that is surplus")
	}
	return k.dir.List()
}

func (k *Keeper) connect() (*cluster, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster != nil {
		return k.cluster, nil
	}
	rest, err := clientcmd.BuildConfigFromFlags("", k.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.UserAgent, rest.QPS = manager, -1 // the API server's own fairness is the limit
	dyn, err := dynamic.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	kube, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	k.cluster = &cluster{dynamic: dyn, kube: kube, node: k.cfg.Node.Name}
	return k.cluster, nil
}

// note remembers the newest good snapshot.
func (k *Keeper) note(list []Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.newest = Entry{}
	for _, e := range list {
		if e.Problem == "" {
			k.newest = e
		}
	}
}

// measure registers the metrics, which the API server serves, and returns what
// takes them away.
func (k *Keeper) measure() (remove func()) {
	gauge := func(name, help string, value func(Entry) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			k.mu.Lock()
			defer k.mu.Unlock()
			return value(k.newest)
		})
	}
	list := []prometheus.Collector{
		gauge("kelp_snapshot_newest_timestamp_seconds", "When the newest good snapshot of this server was made, 0 without one.", func(e Entry) float64 {
			if e.Name == "" {
				return 0
			}
			return float64(e.Created.Unix())
		}),
		gauge("kelp_snapshot_newest_age_seconds", "How old the newest good snapshot of this server is, -1 without one.", func(e Entry) float64 {
			if e.Name == "" {
				return -1
			}
			return k.now().Sub(e.Created).Seconds()
		}),
		gauge("kelp_snapshot_newest_size_bytes", "The size of the newest good snapshot of this server.", func(e Entry) float64 { return float64(e.Size) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kelp_snapshot_failed", Help: "1 when the last scheduled snapshot of this server failed."}, func() float64 {
			if k.Ready(context.Background()) != nil {
				return 1
			}
			return 0
		}),
	}
	legacyregistry.RawMustRegister(list...)
	return func() {
		for _, c := range list {
			legacyregistry.Registerer().Unregister(c)
		}
	}
}

// Tell says which is the newest good snapshot of this server.
func (k *Keeper) Tell() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.newest.Name == "" {
		return "none on this server yet"
	}
	return fmt.Sprintf("the newest is %s, %s old", k.newest.Name, k.now().Sub(k.newest.Created).Round(time.Second))
}

// Ready is the error of the last scheduled snapshot, nil when it is a good one.
func (k *Keeper) Ready(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// Run makes snapshots as scheduled until ctx ends. One that was due while kelp did
// not run is made after the start.
func (k *Keeper) Run(ctx context.Context) error {
	schedule, err := cron.ParseStandard(k.cfg.Snapshots.Schedule)
	if err != nil {
		return fmt.Errorf("read the schedule of snapshots: %w", err)
	}
	c, err := k.connect()
	if err != nil {
		return err
	}
	due := k.first(schedule)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// A clock that was set back must not have the next one wait for the old time.
		if latest := k.late(schedule.Next(k.now())); due.After(latest.Add(time.Duration(k.cfg.Snapshots.Jitter))) {
			due = latest
		}
		if k.now().Before(due) {
			continue
		}
		err := k.once(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
		k.mu.Lock()
		k.failed = err
		k.mu.Unlock()
		due = k.late(schedule.Next(k.now()))
		if again := k.now().Add(retryAfter); err != nil && again.Before(due) {
			due = again
		}
	}
}

// first is when the first snapshot after a start is due: soon, if one was missed.
func (k *Keeper) first(schedule cron.Schedule) time.Time {
	now, last := k.now(), time.Time{}
	list, err := k.dir.List()
	if err != nil {
		list = nil // the next one tells of it
	}
	for _, e := range list {
		if e.Reason == Scheduled && e.Created.Before(now) {
			last = e.Created
		}
	}
	if !last.IsZero() && schedule.Next(last).Before(now) {
		return k.late(now)
	}
	return k.late(schedule.Next(now))
}

// late is at, and up to the jitter later.
func (k *Keeper) late(at time.Time) time.Time {
	return at.Add(rand.N(max(time.Duration(k.cfg.Snapshots.Jitter), 1)))
}

// once makes a snapshot, and tells of it.
func (k *Keeper) once(ctx context.Context, c *cluster) error {
	limited, cancel := context.WithTimeout(ctx, saveLimit)
	defer cancel()
	began := k.now()
	e, err := k.save(limited, Request{Name: k.cfg.Snapshots.Name, Reason: Scheduled, Dir: k.dir})
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		log.G(ctx).WithError(err).WithField("next", retryAfter).Error("the scheduled snapshot was not made")
		if told := c.event(ctx, corev1.EventTypeWarning, "SnapshotFailed", "the scheduled snapshot was not made: "+err.Error()); told != nil {
			log.G(ctx).WithError(told).Debug("no event of the failed snapshot")
		}
		return err
	}
	log.G(ctx).WithField("path", e.Location).WithField("revision", e.Revision).WithField("size", e.Size).
		WithField("took", k.now().Sub(began).Round(time.Millisecond).String()).Info("made a snapshot")
	if err := c.event(ctx, corev1.EventTypeNormal, "SnapshotMade", fmt.Sprintf("snapshot %s of revision %d", e.Name, e.Revision)); err != nil && !errors.Is(err, context.Canceled) {
		log.G(ctx).WithError(err).Debug("no event of the snapshot")
	}
	return nil
}
