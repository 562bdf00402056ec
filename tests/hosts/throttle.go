package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Throttle has every process that runs on the host now, and those that tests start
// there, write no more than so many bytes a second to a block device, MAJOR:MINOR;
// with 0 as fast as the device is.
func (h *Host) Throttle(device string, bytes int) error {
	if unified() {
		limit := "max"
		if bytes > 0 {
			limit = fmt.Sprint(bytes)
		}
		return setLimit(filepath.Join(h.cgroups[0], "io.max"), device+" wbps="+limit)
	}
	// In version 1 a limit is not for the groups below.
	root := filepath.Join(cgroupRoot, "blkio", h.lab.Name, h.Name)
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = setLimit(filepath.Join(path, "blkio.throttle.write_bps_device"), fmt.Sprintf("%s %d", device, bytes))
		}
		if errors.Is(err, fs.ErrNotExist) && path != root {
			return nil // a group that has gone in the meantime
		}
		return err
	})
}

func setLimit(file, limit string) error {
	if err := os.WriteFile(file, []byte(limit), 0o644); err != nil {
		return fmt.Errorf("limit a disk to %s: %w", limit, err)
	}
	return nil
}
