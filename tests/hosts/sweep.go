package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ownStamp names this process so that a later one with the same number is
// told apart: its number and the time at which it started.
func ownStamp() string { return fmt.Sprintf("%d %s", os.Getpid(), startTime(os.Getpid())) }

// startTime is field 22 of /proc/PID/stat; empty when there is no such process.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, after, _ := bytes.Cut(stat, []byte(") ")) // the name before it may hold spaces
	fields := strings.Fields(string(after))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// sweep removes the labs under base whose process is gone.
func sweep(ctx context.Context, base string) error {
	labs, err := filepath.Glob(filepath.Join(base, "lab*"))
	if err != nil {
		return fmt.Errorf("list labs: %w", err)
	}
	var errs []error
	for _, dir := range labs {
		if !ownerLives(dir) {
			errs = append(errs, removeLab(ctx, dir))
		}
	}
	return errors.Join(errs...)
}

func ownerLives(dir string) bool {
	var pid int
	var start string
	stamp, err := os.ReadFile(filepath.Join(dir, "owner"))
	if err != nil {
		return false
	}
	if _, err := fmt.Sscanf(string(stamp), "%d %s", &pid, &start); err != nil {
		return false
	}
	return start != "" && startTime(pid) == start
}

// removeLab ends the processes in the lab's cgroups and removes the cgroups,
// the network namespace and the directory. What is gone already is no error.
func removeLab(ctx context.Context, dir string) error {
	name := "kelp-" + filepath.Base(dir)
	if err := removeCgroups(ctx, name); err != nil {
		return err
	}
	if _, err := os.Stat("/run/netns/" + name); err == nil {
		if err := run(ctx, "ip", "netns", "del", name); err != nil {
			return err
		}
	}
	// Hosts' mounts are in their own namespaces. One here is a surprise, and
	// deleting through it could hit anything.
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	if bytes.Contains(mounts, []byte(" "+dir+"/")) {
		return fmt.Errorf("something is mounted under %s: unmount it", dir)
	}
	// A host's data may hold directories with the immutable or append-only
	// bit; rm says which.
	if out, err := exec.CommandContext(ctx, "rm", "-rf", "--one-file-system", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("remove %s: %w: %s", dir, err, out)
	}
	return nil
}
