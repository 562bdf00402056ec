package preflight

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/config"
)

// Lock holds the data directory for one process. The kernel lets go of it
// when the process ends, however that happens, and when it executes itself
// anew.
type Lock struct{ dir *os.File }

// Acquire makes the data directory, if it is missing, and holds it until
// Release or the end of the process. The directory itself is locked: a file
// for it would be one more thing to leave behind.
func Acquire(cfg config.Config) (*Lock, error) {
	// Containers with user namespaces pass through it on the way to their
	// root; what is secret in it is in directories that are private.
	if err := os.MkdirAll(cfg.DataDir, 0o711); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	dir, err := os.Open(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer dir.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, running(cfg, lockedBy("/proc/locks", dir))
		}
		return nil, fmt.Errorf("lock data directory %s: %w", cfg.DataDir, err)
	}
	return &Lock{dir}, nil
}

// Release lets go of the data directory.
func (l *Lock) Release() { _ = l.dir.Close() }

// holderOf returns the process that holds the directory: 0 if none does, -1
// if it cannot be told which.
func holderOf(path string) (int, error) {
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open data directory: %w", err)
	}
	defer dir.Close() // and let go of the lock
	switch err := unix.Flock(int(dir.Fd()), unix.LOCK_SH|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return lockedBy("/proc/locks", dir), nil
	case err != nil:
		return 0, fmt.Errorf("lock data directory %s: %w", path, err)
	}
	return 0, nil
}

// lockedBy finds who holds a lock on file in the kernel's list, -1 if nobody
// that this process can see.
func lockedBy(locks string, file *os.File) int {
	var st unix.Stat_t
	if unix.Fstat(int(file.Fd()), &st) != nil {
		return -1
	}
	list, err := os.Open(locks)
	if err != nil {
		return -1
	}
	defer list.Close()
	for lines := bufio.NewScanner(list); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 107 08:01:5242881 0 EOF
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], ":"+strconv.FormatUint(st.Ino, 10)) {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return -1
}
