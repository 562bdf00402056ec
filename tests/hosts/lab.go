package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Options say how a lab is set up.
type Options struct {
	// Dir is where labs keep their hosts' disks; it must be on a real file
	// system. The default is /var/tmp/kelp-tests, or $KELP_TEST_DIR.
	Dir string
}

// Lab is a network of its own with hosts on it. It is safe for concurrent use.
type Lab struct {
	// Name is the lab's network namespace and the name of its cgroups.
	Name string
	// Dir holds the hosts' disks.
	Dir string

	parent *parent // the thread that starts hosts, and whose end ends them

	mu     sync.Mutex
	hosts  []*Host
	booted int // hosts so far
}

// bridge is the name of the bridge in a lab's network namespace.
const bridge = "br0"

// Gateway is the bridge's own address: a machine on the hosts' network that
// is none of them.
const Gateway = "10.88.0.1"

// Open makes a lab, after sweeping away what runs of the tests that were
// killed have left behind. The caller must call Close.
func Open(ctx context.Context, opts Options) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("test hosts need root")
	}
	for _, tool := range []string{"systemd-nspawn", "nsenter", "unshare", "ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("find a tool that test hosts need (make deps installs them): %w", err)
		}
	}
	base := opts.Dir
	if base == "" {
		base = os.Getenv("KELP_TEST_DIR")
	}
	if base == "" {
		base = "/var/tmp/kelp-tests"
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of labs: %w", err)
	}
	if err := sweep(ctx, base); err != nil {
		return nil, fmt.Errorf("sweep leftovers of earlier runs: %w", err)
	}
	dir, err := os.MkdirTemp(base, "lab")
	if err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	l := &Lab{Name: "kelp-" + filepath.Base(dir), Dir: dir, parent: newParent()}
	if err := l.setUp(ctx); err != nil {
		return nil, errors.Join(err, l.Close(ctx))
	}
	return l, nil
}

// inotifyInstances are what all hosts have together, for they are one user's to
// the kernel: its default, 128, is for one machine with one systemd.
const inotifyInstances = "2048\n"

func (l *Lab) setUp(ctx context.Context) error {
	if err := os.WriteFile("/proc/sys/fs/inotify/max_user_instances", []byte(inotifyInstances), 0o644); err != nil {
		return fmt.Errorf("let hosts watch files: %w", err)
	}
	if err := os.WriteFile(filepath.Join(l.Dir, "owner"), []byte(ownStamp()), 0o644); err != nil {
		return fmt.Errorf("note the lab's owner: %w", err)
	}
	if err := os.Chmod(l.Dir, 0o755); err != nil {
		return fmt.Errorf("open the lab's directory: %w", err)
	}
	for _, args := range [][]string{
		{"netns", "add", l.Name},
		{"-n", l.Name, "link", "set", "lo", "up"},
		{"-n", l.Name, "link", "add", bridge, "type", "bridge"},
		{"-n", l.Name, "addr", "add", Gateway + "/24", "dev", bridge},
		{"-n", l.Name, "addr", "add", "fd88::1/64", "dev", bridge, "nodad"},
		{"-n", l.Name, "link", "set", bridge, "up"},
	} {
		if err := run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// Hosts returns the hosts that have been booted and not been stopped.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host(nil), l.hosts...)
}

func (l *Lab) forget(h *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.hosts {
		if l.hosts[i] == h {
			l.hosts = append(l.hosts[:i], l.hosts[i+1:]...)
			return
		}
	}
}

// Close stops all hosts and removes every trace of the lab.
func (l *Lab) Close(ctx context.Context) error {
	var errs []error
	for _, h := range l.Hosts() {
		errs = append(errs, h.Stop(ctx))
	}
	l.parent.end()
	errs = append(errs, removeLab(ctx, l.Dir))
	return errors.Join(errs...)
}

// Cut takes the host off the network, as if its cable were pulled.
func (l *Lab) Cut(ctx context.Context, h *Host) error {
	return run(ctx, "ip", "-n", l.Name, "link", "set", h.port(), "down")
}

// Heal puts the host back on the network.
func (l *Lab) Heal(ctx context.Context, h *Host) error {
	return run(ctx, "ip", "-n", l.Name, "link", "set", h.port(), "up")
}

// run executes a command on the machine.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
