package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/containerd/log"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/kelp-project/kelp/pkg/config"
)

// errDamaged is what a database that cannot be read to its end is.
var errDamaged = errors.New("a database of containerd is damaged")

// lockLimit is how long a database may be held by somebody else before it counts as
// one that is in use, which is no damage.
const lockLimit = time.Second

// setDamagedAside looks at containerd's databases, in which a disk that lies about
// its writes leaves holes when the power goes: containerd panics over them, at each
// start anew. All that they tell of can be made again, images from their archives and
// registries and containers by the kubelet, so they are set aside with the images and
// snapshots that only they know. While containers run, nothing would know of them
// any more: then it is for a person to stop them.
func setDamagedAside(ctx context.Context, p config.Paths) error {
	damage := examine(p.ContainerdRoot)
	if !errors.Is(damage, errDamaged) {
		return damage
	}
	running, err := filepath.Glob(filepath.Join(p.ContainerdState, "io.containerd.runtime.v2.task", "*", "*"))
	if err != nil {
		return fmt.Errorf("look for running containers: %w", err)
	}
	if len(running) > 0 {
		return fmt.Errorf("%w, and %d containers run that nothing else knows of: stop them with kelp-killall.sh, then start kelp again: it makes them anew", damage, len(running))
	}
	if err := os.RemoveAll(p.ContainerdDamaged); err != nil {
		return fmt.Errorf("remove what was set aside before: %w", err)
	}
	if err := os.Rename(p.ContainerdRoot, p.ContainerdDamaged); err != nil {
		return fmt.Errorf("set containerd's directory aside: %w", err)
	}
	log.G(ctx).WithError(damage).WithField("path", p.ContainerdDamaged).Warn("containerd begins anew: images are imported or pulled again and containers are made anew; remove what was set aside when nothing of it is wanted")
	return nil
}

// examine reads each of containerd's databases. The error is errDamaged, or why one
// could not be looked at.
func examine(root string) error {
	files, err := filepath.Glob(filepath.Join(root, "io.containerd.*", "meta*.db"))
	if err != nil {
		return fmt.Errorf("look for containerd's databases: %w", err)
	}
	for _, file := range files {
		if err := readAll(file); err != nil {
			return err
		}
	}
	return nil
}

// readAll reads a database and its list of free pages.
func readAll(file string) (err error) {
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("look at a database of containerd: %w", err)
	}
	if info.Size() == 0 {
		return fmt.Errorf("%w: %s is empty", errDamaged, file)
	}
	// bbolt panics over pages that are not what they should be, and a page that the
	// file does not reach to is a fault of memory. What it had opened stays open then,
	// which does no harm to a file that nobody uses any more.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s: %v", errDamaged, file, r)
		}
	}()
	// The free pages come last: where they are not written down, bbolt looks for them
	// in a goroutine of its own, whose panic could not be caught.
	for _, free := range []bool{false, true} {
		db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: free, Timeout: lockLimit})
		switch {
		case errors.Is(err, bolterrors.ErrTimeout), errors.As(err, new(syscall.Errno)):
			// Somebody has it, or the system has too little of something: that is no damage.
			return fmt.Errorf("open %s: %w", file, err)
		case err != nil:
			return fmt.Errorf("%w: %s: %w", errDamaged, file, err)
		}
		if !free {
			err = db.View(func(tx *bolt.Tx) error {
				return tx.ForEach(func(_ []byte, b *bolt.Bucket) error { return walk(b) })
			})
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errDamaged, file, err)
		}
		if err := db.Close(); err != nil {
			return fmt.Errorf("close %s: %w", file, err)
		}
	}
	return nil
}

// walk visits each key of a bucket and of those in it.
func walk(b *bolt.Bucket) error {
	return b.ForEach(func(name, value []byte) error {
		if value != nil {
			return nil
		}
		return walk(b.Bucket(name))
	})
}
