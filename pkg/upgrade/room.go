package upgrade

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
)

// spare is what has to be left: logs and the database go on growing meanwhile, and
// a start needs 200 MB.
const spare = 256 << 20

// room refuses an upgrade for which a disk is too full: the program needs its size,
// and the rehearsal on a server a snapshot and a copy of the data.
func room(cfg config.Config, programs string, size int64, server bool) error {
	var data int64
	if server && datastore.Kind(cfg) != config.DatastoreExternal {
		data = 2 * (sizeOf(cfg.Paths().SQLite) + sizeOf(cfg.Paths().Etcd))
	}
	size = max(size, 0)
	if sameDisk(programs, cfg.DataDir) {
		return enough(programs, size+data)
	}
	return errors.Join(enough(programs, size), enough(cfg.DataDir, data))
}

func enough(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < need+spare {
		return fmt.Errorf("there are %d MB free in %s, and the upgrade needs %d MB: make room", free>>20, dir, (need+spare)>>20)
	}
	return nil
}

func sameDisk(a, b string) bool {
	var first, second unix.Stat_t
	return unix.Stat(a, &first) == nil && unix.Stat(b, &second) == nil && first.Dev == second.Dev
}

// sizeOf is what the files below a directory have. What goes meanwhile has none.
func sizeOf(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
