package hosts

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kelp-project/kelp/packaging"
)

// KelpPath is where hosts have the binary under test.
const KelpPath = "/usr/local/bin/kelp"

// Unit is how kelp runs on a test host, with the command server or agent: as
// packaged, but it is not restarted when it fails, as a test wants to see that.
func Unit(command string) string {
	name := "kelp.service"
	if command == "agent" {
		name = "kelp-agent.service"
	}
	text, err := packaging.FS.ReadFile(name)
	if err != nil {
		panic(err) // impossible: the file is in this binary
	}
	// Its name is kelp.service in either role.
	return strings.NewReplacer("Restart=always", "Restart=no", "Conflicts=", "#Conflicts=").Replace(string(text))
}

// Binary returns the path of the binary under test: $KELP_BIN, or bin/kelp at
// the top of the checkout.
func Binary() (string, error) {
	path := os.Getenv("KELP_BIN")
	if path == "" {
		dir, err := os.Getwd()
		if err != nil {
			return "", fmt.Errorf("find the checkout: %w", err)
		}
		for ; dir != "/"; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
		}
		path = filepath.Join(dir, "bin", "kelp")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find the binary under test (make build makes it): %w", err)
	}
	return path, nil
}

// Share copies a file of the machine into the lab and returns the copy's
// path, for Spec.Bind: a build that goes on does not disturb the hosts.
func (l *Lab) Share(path string) (string, error) {
	from, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("share %s with the lab: %w", path, err)
	}
	defer func() { _ = from.Close() }()
	copied := filepath.Join(l.Dir, "shared-"+filepath.Base(path))
	to, err := os.OpenFile(copied, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return "", fmt.Errorf("share %s with the lab: %w", path, err)
	}
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close() // the copy's error is the one to tell
		return "", fmt.Errorf("share %s with the lab: %w", path, err)
	}
	return copied, to.Close()
}

// CopyIn puts a file or directory of the machine, links followed, into one of the host's directories on the
// real disk; path is the host's, under /var/lib/kelp or /var/lib/kubelet.
func (h *Host) CopyIn(ctx context.Context, machine, path string) error {
	for dir, mounted := range onDisk {
		if rest, ok := strings.CutPrefix(path, mounted+"/"); ok {
			to := filepath.Join(h.dir, dir, rest)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return fmt.Errorf("copy %s into host %s: %w", machine, h.Name, err)
			}
			return run(ctx, "sh", "-euc", `cp -RL "$1" "$2.copying"; mv -T "$2.copying" "$2"`, "sh", machine, to)
		}
	}
	return fmt.Errorf("copy %s into host %s: %s is not on a directory of the real disk", machine, h.Name, path)
}

// InstallKelp writes the configuration and the unit, which runs the command
// server or agent. It does not start it.
func (h *Host) InstallKelp(ctx context.Context, command, config string) error {
	if err := h.WriteFile(ctx, "/etc/kelp/config.yaml", config); err != nil {
		return err
	}
	if err := h.WriteFile(ctx, "/etc/systemd/system/kelp.service", Unit(command)); err != nil {
		return err
	}
	_, err := h.Run(ctx, "systemctl", "daemon-reload")
	return err
}

// StartKelp starts the unit and returns when kelp has told systemd that it
// is ready, and how long that took.
func (h *Host) StartKelp(ctx context.Context) (time.Duration, error) {
	started := time.Now()
	if _, err := h.Run(ctx, "systemctl", "start", "kelp"); err != nil {
		return 0, fmt.Errorf("start kelp: %w", err)
	}
	return time.Since(started), nil
}

// StopKelp stops the unit with SIGTERM and returns how long that took.
func (h *Host) StopKelp(ctx context.Context) (time.Duration, error) {
	started := time.Now()
	if _, err := h.Run(ctx, "systemctl", "stop", "kelp"); err != nil {
		return 0, fmt.Errorf("stop kelp: %w", err)
	}
	return time.Since(started), nil
}

// Kubectl runs kelp kubectl in the host.
func (h *Host) Kubectl(ctx context.Context, args ...string) (string, error) {
	return h.Run(ctx, append([]string{KelpPath, "kubectl"}, args...)...)
}

// Dump writes what helps to understand a failure. It takes what it can get.
func (h *Host) Dump(ctx context.Context, w io.Writer) {
	for _, args := range [][]string{
		{KelpPath, "status"},
		{KelpPath, "kubectl", "--request-timeout=5s", "get", "nodes,pods", "-A", "-o", "wide"},
		{KelpPath, "kubectl", "--request-timeout=5s", "get", "events", "-A", "--sort-by=.lastTimestamp"},
		{KelpPath, "kubectl", "--request-timeout=5s", "logs", "--namespace=kube-system", "--selector=k8s-app=kube-dns", "--tail=20", "--timestamps"},
		{"journalctl", "--unit=kelp", "--lines=150", "--no-pager", "--output=short-precise"},
	} {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		r, err := h.Exec(ctx, "", args...)
		cancel()
		lines := strings.Split(strings.TrimSpace(r.Stdout+r.Stderr), "\n")
		if args[0] != "journalctl" && len(lines) > 60 {
			lines = lines[len(lines)-60:]
		}
		for i, line := range lines {
			lines[i] = line[:min(len(line), 400)]
		}
		_, _ = fmt.Fprintf(w, "--- %s: %s (exit status %d, %v)\n%s\n", h.Name, strings.Join(args, " "), r.Code, err, strings.Join(lines, "\n"))
	}
}
