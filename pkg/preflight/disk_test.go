package preflight

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/config"
)

func TestCheckDisk(t *testing.T) {
	t.Parallel()
	fine := Disk{Path: "/data", Free: 50 << 30, Inodes: 1 << 20, Limited: true, Magic: unix.EXT4_SUPER_MAGIC}
	with := func(change func(*Disk)) Disk { d := fine; change(&d); return d }
	for name, c := range map[string]struct {
		disk   Disk
		err    error
		change func(*config.Config)
		level  Level
		want   string
	}{
		"fine":                {disk: fine, level: Good, want: "/data has 50 GB of free space"},
		"unreadable":          {err: errors.New("stat /data: input/output error"), level: Error, want: "stat /data: input/output error"},
		"a file":              {disk: with(func(d *Disk) { d.NotDir = true }), level: Error, want: "/data is not a directory"},
		"below a file":        {disk: with(func(d *Disk) { d.NotDir, d.Path = true, "/" }), level: Error, want: "/data cannot be made: / is not a directory"},
		"read-only":           {disk: with(func(d *Disk) { d.ReadOnly = true }), level: Error, want: "/data is on a read-only file system"},
		"full":                {disk: with(func(d *Disk) { d.Free = 199 << 20 }), level: Error, want: "/data has no space: 199 MB free of the 200 MB"},
		"nearly full":         {disk: with(func(d *Disk) { d.Free = 201 << 20 }), level: Warning, want: "/data has only 201 MB"},
		"no inodes":           {disk: with(func(d *Disk) { d.Inodes = 3 }), level: Error, want: "3 inodes"},
		"no inodes by design": {disk: with(func(d *Disk) { d.Inodes, d.Limited = 0, false }), level: Good, want: "free space"},
		"nfs":                 {disk: with(func(d *Disk) { d.Magic = unix.NFS_SUPER_MAGIC }), level: Error, want: "is on nfs, on which overlayfs cannot keep containers: use a directory on a local disk, or --snapshotter=native"},
		"overlay":             {disk: with(func(d *Disk) { d.Magic = unix.OVERLAYFS_SUPER_MAGIC }), level: Error, want: "is on overlay"},
		"overlay, without overlayfs": {
			disk:   with(func(d *Disk) { d.Magic = unix.OVERLAYFS_SUPER_MAGIC }),
			change: func(c *config.Config) { c.Containerd.Snapshotter = config.SnapshotterNative }, level: Good, want: "free space",
		},
	} {
		cfg := config.Default()
		cfg.DataDir = "/data"
		if c.change != nil {
			c.change(&cfg)
		}
		found := checkDisk(cfg, c.disk, c.err)
		if got := texts(found, c.level); !strings.Contains(got, c.want) || got == "" {
			t.Errorf("%s: got %+v, want %s: %s", name, found, c.level, c.want)
		}
		if c.level != Error && texts(found, Error) != "" {
			t.Errorf("%s: refused: %+v", name, found)
		}
	}
}

func TestObserveDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]Disk{
		dir:                             {Path: dir},
		filepath.Join(dir, "a", "b"):    {Path: dir, Missing: true},
		file:                            {Path: file, NotDir: true},
		filepath.Join(file, "below"):    {Path: file, NotDir: true},
		filepath.Join(file, "be", "lo"): {Path: file, NotDir: true},
	} {
		got, err := observeDisk(path)
		if err != nil || got.Path != want.Path || got.NotDir != want.NotDir || want.Missing != got.Missing || got.Free == 0 || got.Magic == 0 {
			t.Errorf("%s: got %+v, %v; want %+v", path, got, err, want)
		}
	}
	if d, err := observeDisk("/proc/self"); err != nil || d.Magic != unix.PROC_SUPER_MAGIC {
		t.Errorf("got %+v, %v", d, err)
	}
}
