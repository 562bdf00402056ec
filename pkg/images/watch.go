package images

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/containerd/log"
	"github.com/fsnotify/fsnotify"
)

const (
	// settle is the time between a change and the look at it.
	settle = time.Second
	// young is the age below which an archive is left for the next look: it is
	// likely to be still on its way into the directory.
	young = settle / 2
)

// watch imports the archives in the directory, now and whenever it changes.
func (i *Importer) watch(ctx context.Context, s store) error {
	if err := os.MkdirAll(i.dir, 0o755); err != nil {
		return fmt.Errorf("make images directory: %w", err)
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch images directory: %w", err)
	}
	defer w.Close()
	if err := w.Add(i.dir); err != nil {
		return fmt.Errorf("watch images directory %s: %w", i.dir, err)
	}
	a := archives{dir: i.dir, record: i.record, store: s, now: time.Now}
	if err := a.read(); err != nil {
		log.G(ctx).WithError(err).WithField("path", i.record).Warn("imported archives are not known, importing all of them again")
	}
	var wake <-chan time.Time // nil while there is nothing to look at
	schedule := func() {
		// However often the directory changes, it is looked at once in a
		// while: that is only a stat while a large file is being written.
		if wake == nil {
			wake = time.After(settle)
		}
	}
	if a.scan(ctx) {
		schedule()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
			wake = nil
			if a.scan(ctx) {
				schedule()
			}
		case <-w.Events:
			schedule()
		case err := <-w.Errors:
			// Events were lost: the next look finds what they were about.
			log.G(ctx).WithError(err).Warn("lost changes of the images directory, looking at all of it")
			schedule()
		}
	}
}
