package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// joinCgroups puts the shell into the host's cgroups.
const joinCgroups = `for dir in $CGROUPS; do echo $$ >"$dir/${MEMBER}cgroup.procs"; done
`

// Result is what a command left.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Command is a command to be run in the host, in its namespaces and cgroups,
// with an environment of its own. When ctx ends, it and its children are killed.
func (h *Host) Command(ctx context.Context, args ...string) *exec.Cmd {
	h.mu.Lock()
	leader := h.leader
	h.mu.Unlock()
	// In version 2 a cgroup with children has no processes: init.scope has.
	member := ""
	if unified() {
		member = "init.scope/"
	}
	script := joinCgroups + `exec nsenter --target "$LEADER" --mount --uts --ipc --net --pid --cgroup -- \
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb "$@"`
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-euc", script, "sh"}, args...)...)
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LEADER=" + strconv.Itoa(leader),
		"CGROUPS=" + strings.Join(h.cgroups, " "), "MEMBER=" + member,
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Exec runs a command in the host, with stdin if it is not empty. A status
// other than 0 is no error.
func (h *Host) Exec(ctx context.Context, stdin string, args ...string) (Result, error) {
	var stdout, stderr bytes.Buffer
	cmd := h.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	err := cmd.Run()
	result := Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: -1}
	if cmd.ProcessState != nil {
		result.Code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return result, fmt.Errorf("run %s on %s: %w", strings.Join(args, " "), h.Name, errors.Join(err, ctx.Err()))
	}
	return result, nil
}

// Run runs a command in the host and returns its standard output. A status
// other than 0 is an error that holds its standard error.
func (h *Host) Run(ctx context.Context, args ...string) (string, error) {
	return h.RunInput(ctx, "", args...)
}

// RunInput is Run with text for the command's standard input.
func (h *Host) RunInput(ctx context.Context, stdin string, args ...string) (string, error) {
	r, err := h.Exec(ctx, stdin, args...)
	if err != nil {
		return r.Stdout, err
	}
	if r.Code != 0 {
		return r.Stdout, fmt.Errorf("run %s on %s: exit status %d: %s",
			strings.Join(args, " "), h.Name, r.Code, strings.TrimSpace(r.Stderr+r.Stdout))
	}
	return r.Stdout, nil
}

// Shell runs a script in the host with sh -eu.
func (h *Host) Shell(ctx context.Context, script string) (string, error) {
	return h.Run(ctx, "sh", "-euc", script)
}

// WriteFile writes a file in the host, with its directories. It appears at
// once with all its content.
func (h *Host) WriteFile(ctx context.Context, path, text string) error {
	_, err := h.RunInput(ctx, text, "sh", "-euc",
		`mkdir -p "$1"; cat >"$1/.$2.new"; mv "$1/.$2.new" "$1/$2"`, "sh", filepath.Dir(path), filepath.Base(path))
	return err
}

// ReadFile reads a file in the host.
func (h *Host) ReadFile(ctx context.Context, path string) (string, error) {
	return h.Run(ctx, "cat", path)
}

// Kill9 kills the main process of a unit with SIGKILL and waits until systemd
// knows that it is gone.
func (h *Host) Kill9(ctx context.Context, unit string) error {
	if _, err := h.Run(ctx, "systemctl", "kill", "--signal=SIGKILL", "--kill-whom=main", unit); err != nil {
		return err
	}
	return Until(ctx, 10*time.Second, func(ctx context.Context) error {
		state, err := h.Run(ctx, "systemctl", "show", "--property=MainPID", "--value", unit)
		if err == nil && strings.TrimSpace(state) != "0" {
			return fmt.Errorf("the main process of %s is still %s", unit, strings.TrimSpace(state))
		}
		return err
	})
}
