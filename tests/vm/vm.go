package vm

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Spec says what is on the machine's disk beside a small Debian.
type Spec struct {
	// Dir keeps the unpacked kernel from run to run.
	Dir string
	// Files are the disk's paths of files to copy, with where they are.
	Files map[string]string
	// Texts are the disk's paths of files to write, with their content.
	Texts map[string]string
	// Enable are units that start at boot; each is one of Texts.
	Enable []string
	// Memory is the machine's memory in megabytes.
	Memory int
}

// Machine is a running virtual machine.
type Machine struct {
	// Lines are the lines of its serial console; closed when it is off.
	Lines <-chan string

	temp  string
	qemu  *exec.Cmd
	ended chan error
}

// Start makes the disk and boots the machine. The caller must call Stop.
func Start(ctx context.Context, spec Spec) (*Machine, error) {
	k, err := fetchKernel(ctx, filepath.Join(spec.Dir, "kernel"))
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("/var/tmp", "kelp-vm")
	if err != nil {
		return nil, fmt.Errorf("make the machine's directory: %w", err)
	}
	m := &Machine{temp: temp, ended: make(chan error, 1)}
	if err := m.start(ctx, k, spec); err != nil {
		_ = os.RemoveAll(temp) // the error before is the one to tell
		return nil, err
	}
	return m, nil
}

func (m *Machine) start(ctx context.Context, k kernel, spec Spec) error {
	root, disk, initrd := filepath.Join(m.temp, "root"), filepath.Join(m.temp, "disk"), filepath.Join(m.temp, "initrd")
	if err := os.Mkdir(root, 0o755); err != nil {
		return fmt.Errorf("make the disk's directory: %w", err)
	}
	if err := fill(ctx, root, k, spec); err != nil {
		return err
	}
	if err := makeInitrd(ctx, root, k, initrd); err != nil {
		return err
	}
	if _, err := output(ctx, "mke2fs", "-q", "-t", "ext4", "-d", root, disk, "8G"); err != nil {
		return err
	}
	m.qemu = exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", fmt.Sprint(spec.Memory),
		"-kernel", k.image, "-initrd", initrd,
		"-append", "console=ttyS0 quiet net.ifnames=0 mitigations=off systemd.unified_cgroup_hierarchy=1 systemd.show_status=0",
		"-drive", "if=virtio,format=raw,cache=unsafe,file="+disk,
		"-nic", "user,model=virtio-net-pci,restrict=on", // restricted: nothing leaves
		"-nographic", "-nodefaults", "-serial", "stdio")
	console, err := m.qemu.StdoutPipe()
	if err != nil {
		return fmt.Errorf("open the machine's console: %w", err)
	}
	var stderr strings.Builder
	m.qemu.Stderr = &stderr
	if err := m.qemu.Start(); err != nil {
		return fmt.Errorf("start qemu: %w", err)
	}
	lines := make(chan string, 10000)
	m.Lines = lines
	go func() {
		scanner := bufio.NewScanner(console)
		for scanner.Scan() {
			lines <- strings.TrimRight(scanner.Text(), "\r")
		}
		if err := m.qemu.Wait(); err != nil {
			err = fmt.Errorf("run qemu: %w: %s", err, stderr.String())
			m.ended <- err
		}
		close(lines)
		close(m.ended)
	}()
	return nil
}

// Stop turns the machine off and removes its disk.
func (m *Machine) Stop() error {
	_ = m.qemu.Process.Kill() // off already is as good
	for range m.Lines {       // the reader must get to the end
	}
	<-m.ended
	if err := os.RemoveAll(m.temp); err != nil {
		return fmt.Errorf("remove the machine's disk: %w", err)
	}
	return nil
}
