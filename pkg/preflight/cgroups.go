package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Cgroups is what was seen of the host's control groups.
type Cgroups struct {
	Unified     bool     // version 2
	Controllers []string // that can be used
}

// observeCgroups looks where systemd and everybody else mounts them.
func observeCgroups(proc, root string) Cgroups {
	var st unix.Statfs_t
	if unix.Statfs(root, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		text, _ := os.ReadFile(filepath.Join(root, "cgroup.controllers")) // none is what is then found
		return Cgroups{Unified: true, Controllers: strings.Fields(string(text))}
	}
	mounts, _ := os.ReadFile(filepath.Join(proc, "self", "mountinfo"))
	return Cgroups{Controllers: mountedControllers(string(mounts))}
}

// mountedControllers returns the controllers of version 1 that are mounted,
// which are among the options of their file systems:
//
//	35 24 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
func mountedControllers(mountinfo string) []string {
	var found []string
	for line := range strings.Lines(mountinfo) {
		_, after, ok := strings.Cut(line, " - ")
		f := strings.Fields(after)
		if !ok || len(f) < 3 || f[0] != "cgroup" {
			continue
		}
		found = append(found, strings.Split(f[2], ",")...)
	}
	return found
}

// neededControllers are those without which the kubelet ends the process.
var neededControllers = []string{"cpu", "cpuset", "memory", "pids"}

func checkCgroups(c Cgroups) []Finding {
	const check = "cgroups"
	var missing []string
	for _, name := range neededControllers {
		if !slices.Contains(c.Controllers, name) {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) > 0 && slices.Contains(missing, "memory"):
		return []Finding{failure(check, "the kernel's cgroups have no controller for "+strings.Join(missing, ", "), "boot with cgroup_enable=memory cgroup_memory=1, which some boards need, or mount /sys/fs/cgroup")}
	case len(missing) > 0:
		return []Finding{failure(check, "the kernel's cgroups have no controller for "+strings.Join(missing, ", "), "mount /sys/fs/cgroup, or use a kernel that has them")}
	case !c.Unified:
		return []Finding{warning(check, "the host has cgroup v1, for which Kubernetes will end its support", "boot with systemd.unified_cgroup_hierarchy=1")}
	}
	return []Finding{good(check, fmt.Sprintf("cgroup v2 with %s", strings.Join(neededControllers, ", ")))}
}
