package payload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// lock waits until this process alone holds the lock file at path.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock helper programs: %w", err)
	}
	err = poll.Forever(ctx, func(context.Context) error {
		return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s, which another kelp holds: %w", path, err), f.Close())
	}
	return func() { f.Close() }, nil
}

// checkSpace refuses to begin what cannot be finished.
func checkSpace(dir string, need int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("ask for free space in %s: %w", dir, err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < need {
		return fmt.Errorf("%d MiB are needed and %d MiB are free: %w", need>>20+1, free>>20, unix.ENOSPC)
	}
	return nil
}

// explain adds to an error of a full disk how much space is needed.
func explain(err error, need int64) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("the disk is full; free at least %d MiB or choose another data directory: %w", need>>20+1, err)
	}
	return err
}

// removeUnused removes the versions of a set from which no process runs, save
// keep, and what an interrupted unpacking left. The caller holds the lock. A
// failure is only logged: it costs disk space.
func removeUnused(ctx context.Context, versions, set, keep string) {
	entries, err := os.ReadDir(versions)
	if err != nil {
		log.G(ctx).WithError(err).Warn("cannot look for old helper programs")
		return
	}
	for _, e := range entries {
		dir := filepath.Join(versions, e.Name())
		old := strings.HasPrefix(e.Name(), set+"-") && dir != keep
		left := strings.HasPrefix(e.Name(), ".unpack-")
		if !e.IsDir() || !old && !left || old && inUse(dir) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			log.G(ctx).WithError(err).WithField("path", dir).Warn("cannot remove old helper programs")
		}
	}
}

// inUse reports whether a process runs a program in dir.
func inUse(dir string) bool {
	links, _ := filepath.Glob("/proc/[0-9]*/exe") // its only error is a bad pattern
	for _, link := range links {
		// A process may end, or be a kernel thread: then it has no program.
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, dir+"/") {
			return true
		}
	}
	return false
}
