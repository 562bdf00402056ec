package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/log"
	"github.com/fsnotify/fsnotify"

	"github.com/kelp-project/kelp/pkg/config"
)

const (
	// settle is how long the directory has to be quiet after a change: a
	// file that is being copied is not read in the middle.
	settle = 200 * time.Millisecond
	// resync is for what inotify does not tell: a network file system, a
	// link's target.
	resync = time.Minute
	// retryFirst and retryMost bound the time to the next try after a
	// failure: a kind that is being defined is there in a second, a webhook
	// that is down may stay so.
	retryFirst = 500 * time.Millisecond
	retryMost  = 30 * time.Second
)

// Inputs is what deploy needs beside kelp's configuration.
type Inputs struct {
	// Kubeconfig is of an identity that may do everything.
	Kubeconfig string
}

// Deploy keeps the cluster as the manifests directory says.
type Deploy struct {
	cfg     config.Config
	in      Inputs
	cluster api
	known   map[string]Addon // by file, as it is in the cluster
	done    map[string]Addon // by file, what was done since the start
	onDisk  map[string]bool  // in this pass
	wanted  map[string][]Ref // by file, what those that are handled in this pass hold
	ready   atomic.Pointer[error]

	mu      sync.Mutex    // of what follows
	live    config.Config // which packaged components there are
	running bool
}

// ErrNotApplied is returned by Ready until the first pass is over.
var ErrNotApplied = errors.New("the manifests have not been applied yet")

// New returns a Deploy that has done nothing yet.
func New(cfg config.Config, in Inputs) *Deploy {
	return &Deploy{cfg: cfg, live: cfg, in: in, done: map[string]Addon{}}
}

// Apply puts packaged manifests into the directory, or takes them away, as other
// settings have it; what is deployed follows within seconds. On a server that does
// not deploy it is for the time when it does.
func (d *Deploy) Apply(_ context.Context, cfg config.Config) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live = cfg
	if !d.running {
		return nil
	}
	return writePackaged(cfg)
}

// begin puts the packaged manifests into the directory, and has Apply do so from
// then on.
func (d *Deploy) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = true
	return writePackaged(d.live)
}

func (d *Deploy) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = false
}

// Ready is nil once every packaged manifest has been applied.
func (d *Deploy) Ready(context.Context) error {
	if err := d.ready.Load(); err != nil {
		return *err
	}
	return ErrNotApplied
}

// Run applies manifests, and again when they change, until ctx ends.
func (d *Deploy) Run(ctx context.Context) error {
	if err := d.begin(); err != nil {
		return err
	}
	defer d.end()
	var err error
	if d.cluster, err = newCluster(d.in.Kubeconfig); err != nil {
		return err
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the manifests directory: %w", err)
	}
	defer watcher.Close()
	retry := retryFirst
	for ctx.Err() == nil {
		d.watch(ctx, watcher)
		again, err := d.once(ctx)
		if err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).WithField("next", retry).Warn("manifests were not applied")
		}
		wait := resync
		if again || err != nil {
			wait, retry = retry, min(2*retry, retryMost)
		} else {
			retry = retryFirst
		}
		if changed := quiet(ctx, watcher, wait); changed {
			retry = retryFirst
		}
	}
	return nil
}

// once scans and applies.
func (d *Deploy) once(ctx context.Context) (again bool, err error) {
	files, err := scan(d.cfg.Paths().Manifests)
	if err != nil {
		return true, err
	}
	again, err = d.pass(ctx, files)
	var notReady error
	if err != nil {
		notReady = fmt.Errorf("apply manifests: %w", err)
	} else if failed := d.failedPackaged(); failed != "" {
		notReady = fmt.Errorf("packaged manifest %s failed: %s", failed, d.done[failed].Message)
	}
	d.ready.Store(&notReady)
	return again, err
}

// failedPackaged names a packaged manifest that has failed, if there is one.
// Users' manifests that fail make no component of kelp fail.
func (d *Deploy) failedPackaged() string {
	for path, a := range d.done {
		if a.State == Failed && isPackaged(path) {
			return path
		}
	}
	return ""
}

// watch adds the directory and those below it; those that are watched stay.
func (d *Deploy) watch(ctx context.Context, w *fsnotify.Watcher) {
	err := filepath.WalkDir(d.cfg.Paths().Manifests, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return w.Add(path)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.G(ctx).WithError(err).WithField("next", resync).Warn("changes of manifests are noticed late")
	}
}

// quiet waits for a change and then until none came for a while; or until
// limit is over without one, or ctx ends. It reports whether one came.
func quiet(ctx context.Context, w *fsnotify.Watcher, limit time.Duration) (changed bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	// However busy the directory is, it is looked at within two seconds.
	var latest <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return changed
		case <-timer.C:
			return changed
		case <-latest:
			return changed
		case e, ok := <-w.Events:
			if !ok || e.Op == fsnotify.Chmod {
				continue
			}
			if !changed {
				latest = time.After(5 * settle)
			}
			changed = true
			timer.Reset(settle)
		case <-w.Errors: // an overflow: look at everything
			changed = true
			timer.Reset(settle)
		}
	}
}
