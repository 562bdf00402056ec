package snapshots

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/containerd/log"
	"github.com/robfig/cron/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/latest"
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
	live       *latest.Value[config.Config]
	kubeconfig string
	dir        Dir
	now        func() time.Time
	save       func(context.Context, config.Config, Request) (Entry, error)

	mu      sync.Mutex
	failed  error // of the last scheduled snapshot
	newest  Entry // the newest good one of this server
	cluster *cluster
	counts  Counts

	notCopied error // of the last copy to the object store
}

// NewKeeper returns a keeper that has looked at nothing yet. The kubeconfig is
// kelp's own.
func NewKeeper(cfg config.Config, kubeconfig string) *Keeper {
	return &Keeper{live: latest.Of(cfg), kubeconfig: kubeconfig, dir: Dir(cfg.SnapshotDir()), now: time.Now, save: Save}
}

// Apply has the keeper go by other settings from now on. The directory stays.
func (k *Keeper) Apply(_ context.Context, cfg config.Config) error {
	k.live.Set(cfg)
	return nil
}

// cfg is what the keeper goes by now.
func (k *Keeper) cfg() config.Config {
	cfg, _, _ := k.live.Peek()
	return cfg
}

// Show deletes what is surplus in this server's directory, and keeps the objects
// in the API and the metrics at what it holds, until ctx ends.
func (k *Keeper) Show(ctx context.Context) error {
	c, err := k.connect()
	if err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for last := ""; ; {
		_, _, changed := k.live.Peek()
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
		case <-changed:
		}
	}
}

// keep deletes what is surplus, and returns what is there.
func (k *Keeper) keep(ctx context.Context) ([]Entry, error) {
	cfg := k.cfg()
	r := Retention{Keep: cfg.Snapshots.Retain, MaxAge: time.Duration(cfg.Snapshots.MaxAge)}
	gone, err := k.dir.Prune(r, cfg.Node.Name, k.now())
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
	k.cluster = &cluster{dynamic: dyn, kube: kube, node: k.cfg().Node.Name}
	return k.cluster, nil
}

// note remembers the newest good snapshot.
func (k *Keeper) note(list []Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.newest, k.counts.Good = Entry{}, 0
	for _, e := range list {
		if e.Problem == "" {
			k.newest = e
			k.counts.Good++
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
	c, err := k.connect()
	if err != nil {
		return err
	}
	by := k.cfg().Snapshots.Schedule
	schedule, err := cron.ParseStandard(by)
	if err != nil {
		return fmt.Errorf("read the schedule of snapshots: %w", err)
	}
	due := k.first(schedule)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		cfg, _, changed := k.live.Peek()
		if now := cfg.Snapshots.Schedule; now != by {
			if schedule, err = cron.ParseStandard(now); err != nil {
				return fmt.Errorf("read the schedule of snapshots: %w", err)
			}
			by, due = now, k.late(schedule.Next(k.now()))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			continue
		case <-tick.C:
		}
		// A clock that was set back must not have the next one wait for the old time.
		if latest := k.late(schedule.Next(k.now())); due.After(latest.Add(time.Duration(cfg.Snapshots.Jitter))) {
			due = latest
		}
		if k.now().Before(due) {
			continue
		}
		err := k.once(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
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
	return at.Add(rand.N(max(time.Duration(k.cfg().Snapshots.Jitter), 1)))
}

// once makes a snapshot, and tells of it.
func (k *Keeper) once(ctx context.Context, c *cluster) error {
	limited, cancel := context.WithTimeout(ctx, saveLimit)
	defer cancel()
	began, cfg := k.now(), k.cfg()
	e, err := k.save(limited, cfg, Request{Name: cfg.Snapshots.Name, Reason: Scheduled, Dir: k.dir})
	if ctx.Err() == nil {
		k.count(k.now().Sub(began), err)
	}
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
