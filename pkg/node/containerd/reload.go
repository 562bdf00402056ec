package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/log"
	"github.com/fsnotify/fsnotify"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// settle is how long registries.yaml must be quiet before it is read again,
// so that an editor that writes in two steps is seen once.
const settle = 100 * time.Millisecond

// hosts keeps containerd's hosts directory as registries.yaml says.
type hosts struct {
	file string // registries.yaml; need not exist
	dir  string // containerd's config_path
	last []byte // the content that was applied or refused last
}

// load applies the file as it is now.
func (h *hosts) load() error {
	data, err := os.ReadFile(h.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read registries: %w", err)
	}
	h.last = data
	reg, err := ParseRegistries(h.file, data)
	if err != nil {
		return err
	}
	files, err := HostFiles(reg)
	if err != nil {
		return fmt.Errorf("%s: %w", h.file, err)
	}
	return syncHosts(h.dir, files)
}

// follow applies the file whenever it changes, until ctx ends. A file that
// cannot be applied is reported, and what was there stays.
func (h *hosts) follow(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", h.file, err)
	}
	defer w.Close()
	quiet := time.NewTimer(0) // what changed between load and now counts too
	defer quiet.Stop()
	for {
		if err := w.Add(nearestDir(h.file)); err != nil {
			return fmt.Errorf("watch %s: %w", h.file, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			quiet.Reset(settle)
		case err := <-w.Errors:
			log.G(ctx).WithError(err).WithField("path", h.file).Warn("missed changes of the registries file")
			quiet.Reset(settle)
		case <-quiet.C:
			h.reload(ctx)
		}
	}
}

func (h *hosts) reload(ctx context.Context) {
	if data, _ := os.ReadFile(h.file); bytes.Equal(data, h.last) {
		return
	}
	logger := log.G(ctx).WithField("path", h.file)
	if err := h.load(); err != nil {
		logger.WithError(err).Error("registries stay as they were")
		return
	}
	logger.Info("applied changed registries")
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

// syncHosts writes files under dir and removes what an earlier call wrote
// there and files no longer holds. Credentials are in them: root alone reads.
func syncHosts(dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create hosts directory: %w", err)
	}
	for name, content := range files {
		sub := filepath.Join(dir, name)
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return fmt.Errorf("create hosts directory: %w", err)
		}
		if _, err := atomicfile.WriteIfChanged(filepath.Join(sub, "hosts.toml"), []byte(content), 0o600); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read hosts directory: %w", err)
	}
	for _, e := range entries {
		if _, wanted := files[e.Name()]; wanted {
			continue
		}
		if err := removeOurs(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// removeOurs removes the hosts.toml in dir if kelp wrote it, and dir if that
// leaves it empty.
func removeOurs(dir string) error {
	file := filepath.Join(dir, "hosts.toml")
	data, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(data, []byte(marker)) {
		return nil //nolint:nilerr // not ours, or no file at all
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("remove stale registry: %w", err)
	}
	if left, err := os.ReadDir(dir); err == nil && len(left) == 0 {
		return os.Remove(dir)
	}
	return nil
}
