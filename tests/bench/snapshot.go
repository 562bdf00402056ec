package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/tests/hosts"
)

// What the datastore is filled with for a snapshot: 100 MB that do not compress.
const (
	fillObjects = 250
	fillBytes   = 400_000
)

// rounds is how often writes are timed without and with snapshots, in turns, so
// that a disk that is slower for some seconds is so for both. The 99th percentile of
// one round alone is its sixth longest write, which differs from round to round
// more than snapshots make it.
const rounds = 3

// snapshot takes the time of API writes with 100 MB in the datastore, and again
// while one snapshot after the other is taken.
func (m *subject) snapshot(ctx context.Context, f *Figures) error {
	if m.system.units()[0] != "kelp" {
		return nil // the separate processes have none
	}
	filling, inner := errgroup.WithContext(ctx)
	filling.SetLimit(4)
	for i := range fillObjects {
		filling.Go(func() error {
			content := make([]byte, fillBytes)
			_, _ = rand.Read(content) // never fails
			_, err := m.client.CoreV1().ConfigMaps("default").Create(inner, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("fill-%d", i)}, BinaryData: map[string][]byte{"content": content},
			}, metav1.CreateOptions{})
			return err
		})
	}
	if err := filling.Wait(); err != nil {
		return fmt.Errorf("fill the datastore: %w", err)
	}
	var quiet, busy []time.Duration
	var snapshots []float64
	for round := range rounds {
		took, err := m.write(ctx, fmt.Sprintf("quiet-%d", round))
		if err != nil {
			return err
		}
		quiet = append(quiet, took...)
		took, taken, err := m.writeWithSnapshots(ctx, fmt.Sprintf("busy-%d", round))
		if err != nil {
			return err
		}
		busy, snapshots = append(busy, took...), append(snapshots, taken...)
	}
	slices.Sort(snapshots)
	f.Snapshot = snapshots[len(snapshots)/2]
	f.FilledP99, f.SnapshotP99 = percentile(quiet, 99), percentile(busy, 99)
	return nil
}

// writeWithSnapshots is write while one snapshot after the other is taken. It
// returns the seconds that each of those took, too, of which there is one at least.
func (m *subject) writeWithSnapshots(ctx context.Context, prefix string) (took []time.Duration, taken []float64, err error) {
	enough := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for {
			began := time.Now()
			if _, err := m.host.Run(ctx, hosts.KelpPath, "snapshot", "save"); err != nil {
				return err
			}
			taken = append(taken, time.Since(began).Seconds())
			select {
			case <-enough:
				return nil
			default:
			}
		}
	})
	group.Go(func() (err error) {
		defer close(enough)
		took, err = m.write(ctx, prefix)
		return err
	})
	err = group.Wait()
	return took, taken, err
}
