package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Spec says what a host is like.
type Spec struct {
	// Name is the host's name, at most 12 characters (its network device
	// carries it), unique in the lab.
	Name string
	// Bind are read-only binds of the machine's files, host path to machine path.
	Bind map[string]string
	// NoRoute leaves the host without a default route.
	NoRoute bool
	// IPv4Only leaves the host without an IPv6 address.
	IPv4Only bool
}

// Host is one booted host. Its methods are safe for concurrent use.
type Host struct {
	Spec
	// Address and Address6 are the host's addresses on the lab's network.
	Address, Address6 string

	lab     *Lab
	dir     string
	cgroups []string

	mu     sync.Mutex
	nspawn *exec.Cmd
	ended  chan struct{} // closed when nspawn has ended for good
	leader int           // the host's PID 1 as the machine sees it
	boots  int
	stop   bool
	cut    bool // its power is, for a moment
}

// bootLimit is how long a host may take to boot: ten times what it takes.
const bootLimit = 60 * time.Second

// Boot makes a host and waits until its systemd says that it runs.
func (l *Lab) Boot(ctx context.Context, spec Spec) (*Host, error) {
	if len(spec.Name) == 0 || len(spec.Name) > 12 {
		return nil, fmt.Errorf("host name %q: want 1 to 12 characters", spec.Name)
	}
	l.mu.Lock()
	for _, other := range l.hosts {
		if other.Name == spec.Name {
			l.mu.Unlock()
			return nil, fmt.Errorf("host %s exists already", spec.Name)
		}
	}
	// No two hosts of a lab ever have the same address: what others remember of
	// an earlier one (its link address) would stand in the way.
	l.booted++
	number := 9 + l.booted
	h := &Host{
		Spec: spec, lab: l, dir: filepath.Join(l.Dir, spec.Name), ended: make(chan struct{}),
		Address: fmt.Sprintf("10.88.0.%d", number), Address6: fmt.Sprintf("fd88::%d", number),
	}
	if spec.IPv4Only {
		h.Address6 = ""
	}
	l.hosts = append(l.hosts, h)
	l.mu.Unlock()

	if err := h.boot(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("boot host %s: %w", spec.Name, err), h.Stop(ctx))
	}
	return h, nil
}

func (h *Host) boot(ctx context.Context) error {
	if err := h.prepareDisk(); err != nil {
		return err
	}
	var err error
	if h.cgroups, err = makeCgroups(h.lab.Name, h.Name); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(h.dir, "console.log"))
	if err != nil {
		return fmt.Errorf("make the console's log: %w", err)
	}
	if err := h.startNspawn(log); err != nil {
		return errors.Join(err, log.Close())
	}
	go h.keepRunning(log)
	return h.awaitBoot(ctx, 0)
}

// keepRunning starts the host anew when it reboots: nspawn ends with status
// 133 then. It returns when nspawn ends in any other way.
func (h *Host) keepRunning(log *os.File) {
	defer close(h.ended)
	defer func() { _ = log.Close() }()
	for {
		_ = h.nspawn.Wait() // the status is what counts
		h.mu.Lock()
		h.leader = 0
		again := (h.nspawn.ProcessState.ExitCode() == 133 || h.cut) && !h.stop
		h.cut = false
		if again {
			again = h.startAgain(log) == nil
		}
		h.mu.Unlock()
		if !again {
			return
		}
	}
}

// startAgain starts the host after a reboot with empty cgroups, as those of a
// real machine are: the ones that pods had would occupy the kubelet for
// minutes. The caller holds h.mu.
func (h *Host) startAgain(log *os.File) error {
	ctx, cancel := context.WithTimeout(context.Background(), bootLimit)
	defer cancel()
	if err := removeCgroups(ctx, filepath.Join(h.lab.Name, h.Name)); err != nil {
		return err
	}
	if err := h.unplug(ctx); err != nil {
		return err
	}
	if _, err := makeCgroups(h.lab.Name, h.Name); err != nil {
		return err
	}
	return h.startNspawn(log)
}

// unplug waits until the host's cable is gone: after a loss of power nobody has
// taken it away, and the kernel does so with the last process.
func (h *Host) unplug(ctx context.Context) error {
	return until(ctx, func(ctx context.Context) error {
		if run(ctx, "ip", "-n", h.lab.Name, "link", "show", h.port()) != nil {
			return nil
		}
		_ = run(ctx, "ip", "-n", h.lab.Name, "link", "delete", h.port()) // gone in this moment is as good
		return errors.New("its network device is still there")
	})
}

// awaitBoot waits for a boot later than the given one to be complete.
func (h *Host) awaitBoot(ctx context.Context, after int) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	err := until(ctx, func(ctx context.Context) error {
		select {
		case <-h.ended:
			cancel()
			return errors.New("the host has ended")
		default:
		}
		if err := h.findLeader(after); err != nil {
			return err
		}
		state, err := h.Run(ctx, "systemctl", "is-system-running")
		if state = strings.TrimSpace(state); state == "running" || state == "degraded" {
			return nil
		}
		return fmt.Errorf("systemd is %q: %w", state, err)
	})
	if err != nil {
		console, _ := os.ReadFile(filepath.Join(h.dir, "console.log")) // the first error is the one to tell
		return fmt.Errorf("wait for systemd: %w; console:\n%s", err, console)
	}
	return nil
}

func (h *Host) findLeader(after int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.boots <= after {
		return fmt.Errorf("boot %d has not begun", after+1)
	}
	if h.leader != 0 {
		return nil
	}
	pid := h.nspawn.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return fmt.Errorf("find the host's PID 1: %w", err)
	}
	for _, child := range strings.Fields(string(children)) {
		status, err := os.ReadFile("/proc/" + child + "/status")
		if err == nil && strings.Contains(string(status), "\nNSpid:\t"+child+"\t1\n") {
			comm, _ := os.ReadFile("/proc/" + child + "/comm")
			if strings.TrimSpace(string(comm)) == "systemd" {
				h.leader, err = strconv.Atoi(child)
				return err
			}
		}
	}
	return fmt.Errorf("nspawn's children %q hold no PID 1 yet", children)
}

// Reboot reboots the host through its systemd and waits until it runs again.
// What is on its disk stays, what is in /run and /tmp is gone.
func (h *Host) Reboot(ctx context.Context) error {
	h.mu.Lock()
	boots := h.boots
	h.mu.Unlock()
	if _, err := h.Run(ctx, "systemctl", "reboot", "--no-block"); err != nil {
		return err
	}
	return h.awaitBoot(ctx, boots)
}

// PowerCycle ends all that runs on the host at once, and boots it again. What was
// written to its disk stays.
func (h *Host) PowerCycle(ctx context.Context) error {
	h.mu.Lock()
	boots := h.boots
	h.cut = true
	err := h.nspawn.Process.Signal(unix.SIGKILL)
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("cut the power of host %s: %w", h.Name, err)
	}
	return h.awaitBoot(ctx, boots)
}

// Stop ends the host at once, as pulling its plug does, and removes it.
func (h *Host) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stop = true
	started := h.nspawn != nil
	if started {
		_ = h.nspawn.Process.Signal(unix.SIGKILL) // ended already is as good
	}
	h.mu.Unlock()
	if started {
		select {
		case <-h.ended:
		case <-ctx.Done():
			return fmt.Errorf("wait for host %s to end: %w", h.Name, ctx.Err())
		}
	}
	h.lab.forget(h)
	if err := removeCgroups(ctx, filepath.Join(h.lab.Name, h.Name)); err != nil {
		return err
	}
	return run(ctx, "rm", "-rf", "--one-file-system", h.dir)
}

// port is the host's end of the bridge: its cable.
func (h *Host) port() string { return "vb-" + h.Name }
