package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/config"
)

const (
	// minFree is what the unpacked programs and images, a database and a
	// minute of logs need; below it a start fails half way.
	minFree = 200 << 20
	// lowFree is where the kubelet begins to evict pods on a small disk.
	lowFree = 1 << 30
	// minInodes is what unpacked images need.
	minInodes = 10_000
)

// Disk is what was seen of the data directory, or of the nearest directory
// above it that exists.
type Disk struct {
	Path     string // what was looked at
	Missing  bool   // the data directory is yet to be made, in Path
	NotDir   bool   // Path is no directory
	ReadOnly bool
	Free     uint64 // bytes
	Inodes   uint64 // that are free; 0 where the file system has no such number
	Limited  bool   // Inodes is meant
	Magic    uint32 // the file system's, of statfs(2)
}

// Usable says whether what is below the data directory can be looked at.
func (d Disk) Usable() bool { return d.Path != "" && !d.NotDir }

// observeDisk looks at dir, or at what is above it.
func observeDisk(dir string) (Disk, error) {
	d := Disk{Path: dir}
	for {
		info, err := os.Stat(d.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && d.Path != "/":
			d.Path, d.Missing = filepath.Dir(d.Path), true
			continue
		case errors.Is(err, unix.ENOTDIR):
			d.Path = filepath.Dir(d.Path)
			continue
		case err != nil:
			return Disk{}, fmt.Errorf("look at %s: %w", d.Path, err)
		}
		d.NotDir = !info.IsDir()
		break
	}
	var st unix.Statfs_t
	if err := unix.Statfs(d.Path, &st); err != nil {
		return Disk{}, fmt.Errorf("look at the file system of %s: %w", d.Path, err)
	}
	d.ReadOnly = st.Flags&unix.ST_RDONLY != 0 || errors.Is(unix.Access(d.Path, unix.W_OK), unix.EROFS)
	d.Free = st.Bavail * uint64(st.Bsize)
	d.Inodes, d.Limited = st.Ffree, st.Files > 0
	d.Magic = uint32(st.Type)
	return d, nil
}

// noOverlay are file systems whose directories overlayfs refuses as its upper
// ones, by their magic number.
var noOverlay = map[uint32]string{
	unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.NFS_SUPER_MAGIC:       "nfs",
	unix.SMB_SUPER_MAGIC:       "smb",
	unix.SMB2_SUPER_MAGIC:      "smb",
	unix.CIFS_SUPER_MAGIC:      "cifs",
	unix.MSDOS_SUPER_MAGIC:     "vfat",
	unix.EXFAT_SUPER_MAGIC:     "exfat",
	unix.V9FS_MAGIC:            "9p",
	unix.ECRYPTFS_SUPER_MAGIC:  "ecryptfs",
}

func checkDisk(cfg config.Config, d Disk, err error) []Finding {
	const check = "data directory"
	dir := cfg.DataDir
	move := "choose another one with --data-dir"
	switch {
	case err != nil:
		return []Finding{failure(check, err.Error(), move)}
	case d.NotDir && d.Path == dir:
		return []Finding{failure(check, dir+" is not a directory", move)}
	case d.NotDir:
		return []Finding{failure(check, fmt.Sprintf("%s cannot be made: %s is not a directory", dir, d.Path), move)}
	case d.ReadOnly:
		return []Finding{failure(check, dir+" is on a read-only file system", "mount it writable, or "+move)}
	case d.Free < minFree:
		return []Finding{failure(check, fmt.Sprintf("%s has no space: %d MB free of the %d MB that a start needs", dir, d.Free>>20, minFree>>20), "make room, or "+move)}
	case d.Limited && d.Inodes < minInodes:
		return []Finding{failure(check, fmt.Sprintf("%s has no space for files: %d inodes are free", dir, d.Inodes), "make room, or "+move)}
	}
	var found []Finding
	if d.Free < lowFree {
		found = append(found, warning(check, fmt.Sprintf("%s has only %d MB of free space", dir, d.Free>>20), "pods are evicted when it gets less; make room"))
	} else {
		found = append(found, good(check, fmt.Sprintf("%s has %d GB of free space", dir, d.Free>>30)))
	}
	if name, bad := noOverlay[d.Magic]; bad && !cfg.Components.DisableAgent && cfg.Containerd.Snapshotter == config.SnapshotterOverlayFS {
		found = append(found, failure(check, fmt.Sprintf("%s is on %s, on which overlayfs cannot keep containers", dir, name), "use a directory on a local disk, or --snapshotter=native"))
	}
	return found
}
