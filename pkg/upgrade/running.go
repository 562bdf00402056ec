package upgrade

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/internal/program"
)

// Running is the kelp that runs on this machine.
type Running struct {
	PID     int
	Version string
	Program string   // its path
	Role    string   // server or agent
	Args    []string // the flags after the role
	Env     []string // without what systemd has told it alone
	Unit    string   // the service of systemd's that it is; empty if it is none
}

// Look finds the kelp that runs, by the socket that it answers on. Its arguments
// and environment are the kernel's word: they need not be in any file.
func Look(ctx context.Context, socket string) (Running, error) {
	st, err := doctor.Ask(ctx, socket)
	if err != nil {
		return Running{}, err
	}
	r := Running{PID: st.PID, Version: st.Version}
	if r.Program, err = program.PathOf(r.PID); err != nil {
		return Running{}, err
	}
	args, err := words(r.PID, "cmdline")
	if err != nil {
		return Running{}, err
	}
	if r.Env, err = words(r.PID, "environ"); err != nil {
		return Running{}, err
	}
	r.Env = slices.DeleteFunc(r.Env, private)
	if len(args) < 2 || args[1] != "server" && args[1] != "agent" {
		return Running{}, fmt.Errorf("process %d is kelp, and neither kelp server nor kelp agent: %s", r.PID, strings.Join(args[:min(2, len(args))], " "))
	}
	r.Role, r.Args = args[1], args[2:]
	r.Unit = unitOf(ctx, r.PID)
	return r, nil
}

// private are variables that are for one process: what systemd gives to a service
// to speak to it.
func private(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}, name)
}

// words are the strings of a file of a process.
func words(pid int, file string) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return nil, fmt.Errorf("look at process %d: %w", pid, err)
	}
	text = bytes.TrimSuffix(text, []byte{0})
	if len(text) == 0 {
		return nil, nil
	}
	return strings.Split(string(text), "\x00"), nil
}

// unitOf is the service whose main process it is.
func unitOf(ctx context.Context, pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		unit := path.Base(strings.TrimSpace(line))
		if !strings.HasSuffix(unit, ".service") {
			continue
		}
		if out, err := property(ctx, unit, "MainPID"); err == nil && out == strconv.Itoa(pid) {
			return unit
		}
	}
	return ""
}

// property is one of a unit's.
func property(ctx context.Context, unit, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property="+name, "--value", unit).Output()
	if err != nil {
		return "", fmt.Errorf("ask systemd for %s of %s: %w", name, unit, withStderr(err))
	}
	return strings.TrimSpace(string(out)), nil
}

func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}
