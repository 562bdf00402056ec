package snapshots

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/log"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// uploadAgain is after how long a copy that failed is tried again.
const uploadAgain = 20 * time.Second

// Upload copies this server's snapshots to the object store, those that are not
// there yet, and keeps as many there as are to be kept, until ctx ends. Nothing
// waits for it.
func (k *Keeper) Upload(ctx context.Context) error {
	c, err := k.connect()
	if err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var again time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if k.now().Before(again) {
			continue
		}
		err := k.upload(ctx, func() (kubernetes.Interface, error) { return c.kube, nil })
		if ctx.Err() != nil {
			return nil
		}
		first := err != nil && k.Uploads(ctx) == nil
		k.mu.Lock()
		k.notCopied = err
		k.mu.Unlock()
		if err == nil {
			continue
		}
		again = k.now().Add(uploadAgain)
		if first {
			log.G(ctx).WithError(err).WithField("next", uploadAgain).Error("snapshots are not copied to the object store; they are on this server all the same")
			if told := c.event(ctx, corev1.EventTypeWarning, "SnapshotNotCopied", err.Error()); told != nil {
				log.G(ctx).WithError(told).Debug("no event of the copy that failed")
			}
		}
	}
}

// Uploads is the error of the last copy, nil when all is there.
func (k *Keeper) Uploads(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.notCopied
}

// upload copies what is not copied yet.
func (k *Keeper) upload(ctx context.Context, kube func() (kubernetes.Interface, error)) error {
	cfg := k.cfg()
	list, err := k.dir.List()
	if err != nil {
		return err
	}
	var b *Bucket
	for _, e := range list {
		if e.Problem != "" || e.Uploaded != "" {
			continue
		}
		if b == nil {
			if b, err = OpenBucket(ctx, cfg.S3, kube); err != nil {
				return err
			}
		}
		if err := b.Upload(ctx, e.Location, e.Name); err != nil {
			return err
		}
		log.G(ctx).WithField("path", e.Location).WithField("url", b.URL(e.Name)).Info("copied a snapshot")
		if err := e.markUploaded(b.URL(e.Name)); err != nil {
			return err
		}
	}
	if b == nil {
		return nil
	}
	return b.Prune(ctx, cfg.Snapshots.Name+"-"+cfg.Node.Name+"-", cfg.S3.Retain)
}

// markUploaded notes in the description where the copy is.
func (e Entry) markUploaded(url string) error {
	e.Uploaded = url
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("describe snapshot: %w", err)
	}
	return atomicfile.Write(e.Location+besides, append(text, '\n'), 0o600)
}

// Copy copies one snapshot of the directory to the object store now.
func (d Dir) Copy(ctx context.Context, b *Bucket, name string) (url string, err error) {
	if !isSnapshot(name) {
		return "", fmt.Errorf("there is no snapshot %q: kelp snapshot list shows those that are there", name)
	}
	e := d.entry(name)
	if e.Problem != "" {
		return "", errors.New(name + ": " + e.Problem)
	}
	if err := b.Upload(ctx, e.Location, e.Name); err != nil {
		return "", err
	}
	return b.URL(name), e.markUploaded(b.URL(name))
}
