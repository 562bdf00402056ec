package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/watch"
)

// hosts keeps containerd's hosts directory as registries.yaml says.
type hosts struct {
	dir     string // containerd's config_path
	changed chan struct{}
	last    []byte // the content that was applied or refused last

	mu   sync.Mutex
	file string // registries.yaml; need not exist
}

func newHosts(file, dir string) *hosts {
	return &hosts{dir: dir, file: file, changed: make(chan struct{}, 1)}
}

// use takes another file from now on.
func (h *hosts) use(file string) {
	h.mu.Lock()
	h.file = file
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default: // it is looked at already
	}
}

func (h *hosts) path() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.file
}

// load applies the file as it is now.
func (h *hosts) load() error {
	file := h.path()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read registries: %w", err)
	}
	h.last = data
	reg, err := ParseRegistries(file, data)
	if err != nil {
		return err
	}
	files, err := HostFiles(reg)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return syncHosts(h.dir, files)
}

// follow applies the file whenever it changes, until ctx ends. A file that
// cannot be applied is reported, and what was there stays.
func (h *hosts) follow(ctx context.Context) error {
	return watch.Files(ctx, func() []string { return []string{h.path()} }, h.changed, func() { h.reload(ctx) })
}

func (h *hosts) reload(ctx context.Context) {
	if data, _ := os.ReadFile(h.path()); bytes.Equal(data, h.last) {
		return
	}
	logger := log.G(ctx).WithField("path", h.path())
	if err := h.load(); err != nil {
		logger.WithError(err).Error("registries stay as they were")
		return
	}
	logger.Info("applied changed registries")
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
