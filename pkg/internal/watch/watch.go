package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/log"
	"github.com/fsnotify/fsnotify"
)

// settle is how long files must be quiet before they are looked at, so that an
// editor that writes in two steps is seen once.
const settle = 100 * time.Millisecond

// Files calls look once at the beginning and whenever one of the files may have
// changed, until ctx ends. None of them need exist. They are asked for anew each
// time. Changed, if there is one, ends the wait like a change of a file.
func Files(ctx context.Context, files func() []string, changed <-chan struct{}, look func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch for changes: %w", err)
	}
	defer w.Close()
	quiet := time.NewTimer(0) // what changed before the watch counts too
	defer quiet.Stop()
	for {
		for _, file := range files() {
			if err := w.Add(nearestDir(file)); err != nil {
				return fmt.Errorf("watch %s: %w", file, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			quiet.Reset(settle)
		case err := <-w.Errors:
			log.G(ctx).WithError(err).Warn("missed changes of files, looking at them")
			quiet.Reset(settle)
		case <-changed:
			quiet.Reset(0)
		case <-quiet.C:
			look()
		}
	}
}

// nearestDir is the directory of path, or the nearest one above that exists:
// the one in which the next step towards path will appear.
func nearestDir(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); (err == nil && info.IsDir()) || dir == filepath.Dir(dir) {
			return dir
		}
	}
}
