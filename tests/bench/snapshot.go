package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
	var quiet, busy Figures
	if err := m.write(ctx, "quiet", &quiet); err != nil {
		return err
	}
	snapshots, stop := context.WithCancel(ctx)
	defer stop()
	var taken []float64
	ended := make(chan error, 1)
	go func() {
		for snapshots.Err() == nil {
			began := time.Now()
			if _, err := m.host.Run(snapshots, hosts.KelpPath, "snapshot", "save"); err != nil {
				if snapshots.Err() == nil {
					ended <- err
					return
				}
				break
			}
			taken = append(taken, time.Since(began).Seconds())
		}
		ended <- nil
	}()
	err := m.write(ctx, "busy", &busy)
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	if len(taken) > 0 {
		f.Snapshot = taken[len(taken)/2]
	}
	f.FilledP99, f.SnapshotP99 = quiet.WriteP99, busy.WriteP99
	return nil
}
