package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kernelPackage depends on the newest kernel for virtual machines.
const kernelPackage = "linux-image-cloud-amd64"

// kernel is an unpacked kernel package.
type kernel struct {
	version string
	image   string // the bootable file
	modules string // the directory usr/lib/modules/VERSION
}

// fetchKernel downloads the kernel's package and unpacks it under dir, once.
// It is not installed: the machine has, and keeps, a kernel of its own.
func fetchKernel(ctx context.Context, dir string) (kernel, error) {
	found, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil {
		return kernel{}, fmt.Errorf("look for an unpacked kernel: %w", err)
	}
	if len(found) == 0 {
		if err := unpackKernel(ctx, dir); err != nil {
			return kernel{}, err
		}
		return fetchKernel(ctx, dir)
	}
	version := strings.TrimPrefix(filepath.Base(found[0]), "vmlinuz-")
	for _, modules := range []string{"usr/lib/modules", "lib/modules"} {
		modules = filepath.Join(dir, modules, version)
		if _, err := os.Stat(modules); err == nil {
			return kernel{version: version, image: found[0], modules: modules}, nil
		}
	}
	return kernel{}, fmt.Errorf("no modules for kernel %s under %s", version, dir)
}

func unpackKernel(ctx context.Context, dir string) error {
	out, err := output(ctx, "apt-cache", "depends", kernelPackage)
	if err != nil {
		return err
	}
	_, name, found := strings.Cut(out, "Depends: linux-image-")
	if !found {
		return errors.New("find the kernel's package: apt-cache does not know " + kernelPackage)
	}
	name = "linux-image-" + strings.Fields(name)[0]
	temp, err := os.MkdirTemp("", "kelp-kernel")
	if err != nil {
		return fmt.Errorf("make a directory to download to: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if _, err := output(ctx, "sh", "-euc", `cd "$1"; apt-get -q -o APT::Sandbox::User=root download "$2"; mkdir -p "$3"; dpkg -x ./*.deb "$3"`, "sh", temp, name, dir); err != nil {
		return fmt.Errorf("download the kernel's package: %w", err)
	}
	return nil
}

// makeInitrd makes an initial root that loads what the disk needs and goes on
// to systemd on it.
func makeInitrd(ctx context.Context, root string, k kernel, path string) error {
	dir, err := os.MkdirTemp("", "kelp-initrd")
	if err != nil {
		return fmt.Errorf("make a directory for the initial root: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	needed, err := output(ctx, "modprobe", "--dirname="+root, "--set-version="+k.version, "--all", "--show-depends", "virtio_pci", "virtio_blk", "ext4")
	if err != nil {
		return err
	}
	script := "#!/bin/busybox sh\nb=/bin/busybox\n$b mount -t devtmpfs dev /dev\n$b mount -t proc proc /proc\n"
	for _, line := range strings.Split(needed, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "insmod" || strings.Contains(script, filepath.Base(fields[1])) {
			continue
		}
		if _, err := output(ctx, "cp", fields[1], dir); err != nil {
			return err
		}
		script += "$b insmod /" + filepath.Base(fields[1]) + "\n"
	}
	script += "until [ -b /dev/vda ]; do :; done\n$b mount -t ext4 /dev/vda /disk\n$b umount /proc\nexec $b switch_root /disk /lib/systemd/systemd\n"
	for _, sub := range []string{"bin", "dev", "proc", "disk"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return fmt.Errorf("make the initial root: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "init"), []byte(script), 0o755); err != nil {
		return fmt.Errorf("make the initial root: %w", err)
	}
	_, err = output(ctx, "sh", "-euc", `cp /bin/busybox "$1/bin/"; cd "$1"; find . | cpio --quiet -o -H newc | gzip -1 >"$2"`, "sh", dir, path)
	return err
}

// output runs a command on the machine and returns what it prints.
func output(ctx context.Context, name string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
