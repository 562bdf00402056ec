package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/config"
)

// Machine is what was seen of the machine's resources and its clock. A number
// is 0 where it cannot be seen.
type Machine struct {
	CPUs      int
	Memory    uint64 // bytes
	Swap      uint64 // bytes
	Instances uint64 // of inotify, that one user may have
	Watches   uint64 // of inotify, that one user may have
	Synced    bool   // something keeps the clock right
	ClockErr  error
}

func observeMachine(proc string) Machine {
	m := Machine{CPUs: runtime.NumCPU(), Instances: number(proc, "sys/fs/inotify/max_user_instances"), Watches: number(proc, "sys/fs/inotify/max_user_watches")}
	text, _ := os.ReadFile(filepath.Join(proc, "meminfo")) // 0 then
	m.Memory, m.Swap = memory(string(text), "MemTotal"), memory(string(text), "SwapTotal")
	var t unix.Timex // with no mode it asks and changes nothing
	state, err := unix.Adjtimex(&t)
	m.Synced, m.ClockErr = state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, err
	return m
}

// number reads a kernel setting.
func number(proc, name string) uint64 {
	text, _ := os.ReadFile(filepath.Join(proc, name))
	n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// memory is a line of /proc/meminfo in bytes: "MemTotal: 24567 kB".
func memory(meminfo, name string) uint64 {
	_, rest, _ := strings.Cut(meminfo, name+":")
	if f := strings.Fields(rest); len(f) > 0 {
		n, _ := strconv.ParseUint(f[0], 10, 64)
		return n << 10
	}
	return 0
}

// What a role needs to be of use. A server with all that is packaged holds about
// 400 MB, an agent half of that; the rest is for pods and the file cache.
const (
	serverMemory = 1 << 30
	agentMemory  = 512 << 20
)

// The limits on inotify. kelp has about 30 instances, systemd and what else root
// runs some dozens, and pods that run as root count, too. Watches are one per
// file that is watched.
const (
	fewInstances = 256
	fewWatches   = 65536
)

func checkMachine(m Machine, role Role) []Finding {
	found := append(checkMemory(m, role), checkSwap(m)...)
	return append(append(found, checkInotify(m)...), checkClock(m)...)
}

func checkMemory(m Machine, role Role) []Finding {
	const check = "memory and cpus"
	need := uint64(serverMemory)
	if role == Agent {
		need = agentMemory
	}
	text := fmt.Sprintf("%d MB of memory, %d cpus", m.Memory>>20, m.CPUs)
	// The kernel keeps some of what a machine is sold with.
	if m.Memory != 0 && m.Memory < need*9/10 {
		return []Finding{warning(check, fmt.Sprintf("%s, and kelp %s should have %d MB", text, role, need>>20), "give it more memory, or leave components out with --disable")}
	}
	return []Finding{good(check, text)}
}

func checkSwap(m Machine) []Finding {
	const check = "swap"
	if m.Swap == 0 {
		return []Finding{good(check, "there is none")}
	}
	return []Finding{good(check, fmt.Sprintf("%d MB, which the system may use and pods do not get", m.Swap>>20))}
}

func checkInotify(m Machine) []Finding {
	const check = "inotify"
	var short []string
	if m.Instances != 0 && m.Instances < fewInstances {
		short = append(short, fmt.Sprintf("fs.inotify.max_user_instances=%d", fewInstances*2))
	}
	if m.Watches != 0 && m.Watches < fewWatches {
		short = append(short, fmt.Sprintf("fs.inotify.max_user_watches=%d", fewWatches*2))
	}
	text := fmt.Sprintf("a user may have %d instances and watch %d files", m.Instances, m.Watches)
	if len(short) > 0 {
		return []Finding{warning(check, text+": pods that watch files may fail with \"too many open files\"", "sysctl -w "+strings.Join(short, " ")+", and the same in /etc/sysctl.d/90-kelp.conf")}
	}
	return []Finding{good(check, text)}
}

func checkClock(m Machine) []Finding {
	const check = "time"
	switch {
	case m.ClockErr != nil:
		return nil // a container that may not ask
	case !m.Synced:
		return []Finding{warning(check, "nothing keeps the clock right: tokens and certificates of other machines may seem to be from the future", "install chrony or systemd-timesyncd; on a virtual machine the host may do it")}
	}
	return []Finding{good(check, "the clock is synchronised")}
}

// Security is what was seen of the kernel's security modules.
type Security struct {
	SELinux  bool // is enforcing
	AppArmor bool // is on
	Parser   bool // loads profiles for AppArmor
}

func observeSecurity(root string) Security {
	read := func(path string) string {
		text, _ := os.ReadFile(filepath.Join(root, path))
		return strings.TrimSpace(string(text))
	}
	there := func(path string) bool {
		_, err := os.Stat(filepath.Join(root, path))
		return !errors.Is(err, fs.ErrNotExist)
	}
	return Security{
		SELinux:  read("sys/fs/selinux/enforce") == "1",
		AppArmor: read("sys/module/apparmor/parameters/enabled") == "Y",
		Parser:   there("sbin/apparmor_parser") || there("usr/sbin/apparmor_parser"),
	}
}

func checkSecurity(cfg config.Config, s Security) []Finding {
	const check = "security modules"
	switch {
	case s.SELinux:
		return []Finding{warning(check, "SELinux is enforcing, and containers get no labels of their own from kelp: it may refuse them files",
			"see ausearch -m avc -ts recent; label volumes with chcon -Rt container_file_t, and "+cfg.DataDir+" with semanage fcontext -t container_var_lib_t")}
	case s.AppArmor && !s.Parser:
		return []Finding{warning(check, "AppArmor is on and has no apparmor_parser: containers run without its profile", "install the package apparmor")}
	case s.AppArmor:
		return []Finding{good(check, "AppArmor is on, and containers get its default profile")}
	}
	return []Finding{good(check, "neither SELinux nor AppArmor stands in the way")}
}
