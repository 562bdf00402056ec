package hosts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupRoot is where the machine's cgroup hierarchies are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// unified says whether the machine has only cgroup version 2.
func unified() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

// hierarchies lists the machine's cgroup hierarchies: one of version 2, or
// all of version 1.
func hierarchies() ([]string, error) {
	if unified() {
		return []string{cgroupRoot}, nil
	}
	var dirs []string
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, fmt.Errorf("list cgroup hierarchies: %w", err)
	}
	for _, e := range entries {
		dir := filepath.Join(cgroupRoot, e.Name())
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil && e.IsDir() {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// makeCgroups makes the cgroup lab/host in every hierarchy and returns their
// directories.
func makeCgroups(lab, host string) ([]string, error) {
	roots, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var made []string
	for _, root := range roots {
		for _, dir := range []string{filepath.Join(root, lab), filepath.Join(root, lab, host)} {
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, fmt.Errorf("make cgroup %s: %w", dir, err)
			}
			if err := openCgroup(dir); err != nil {
				return nil, err
			}
		}
		made = append(made, filepath.Join(root, lab, host))
	}
	return made, nil
}

// openCgroup makes a new cgroup fit for processes: version 1's cpuset begins
// without a processor, version 2's parent must hand its controllers on.
func openCgroup(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		have, err := os.ReadFile(filepath.Join(dir, file))
		if unified() || err != nil || strings.TrimSpace(string(have)) != "" {
			continue
		}
		want, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return fmt.Errorf("read the parent's %s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), want, 0o644); err != nil {
			return fmt.Errorf("set %s of %s: %w", file, dir, err)
		}
	}
	if !unified() {
		return nil
	}
	parent := filepath.Dir(dir)
	controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("read controllers of %s: %w", parent, err)
	}
	for _, c := range strings.Fields(string(controllers)) {
		if err := os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+c), 0o644); err != nil {
			return fmt.Errorf("hand controller %s on from %s: %w", c, parent, err)
		}
	}
	return nil
}

// removeCgroups kills every process in the cgroups of that name, in all
// hierarchies, and removes them, deepest first.
func removeCgroups(ctx context.Context, name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	return until(ctx, func(context.Context) error {
		var errs []error
		for _, root := range roots {
			errs = append(errs, removeTree(filepath.Join(root, name)))
		}
		return errors.Join(errs...)
	})
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list cgroup %s: %w", dir, err)
	}
	procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")) // v2 refuses in a threaded group: its parent lists them
	for _, line := range strings.Fields(string(procs)) {
		if pid, err := strconv.Atoi(line); err == nil && pid > 1 {
			_ = unix.Kill(pid, unix.SIGKILL) // gone already is as good
		}
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}
