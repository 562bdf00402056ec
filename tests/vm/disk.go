package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// wanted are the packages of the machine's that the disk holds, with what
// they depend on: a small Debian with systemd and what kelp needs.
var wanted = []string{
	"systemd", "systemd-sysv", "dbus", "nftables", "iptables", "kmod", "iproute2", "mount", "util-linux", "coreutils", "bash", "dash",
	"base-files", "base-passwd", "grep", "sed", "findutils", "tar", "gzip", "procps", "libc-bin", "login", "passwd", "conntrack", "busybox-static",
}

// fill makes the disk's files under root.
func fill(ctx context.Context, root string, k kernel, spec Spec) error {
	list, err := packageFiles(ctx)
	if err != nil {
		return err
	}
	copyAll := exec.CommandContext(ctx, "sh", "-euc", `tar -C / --no-recursion --null -T - -cf - | tar -C "$1" -xf -`, "sh", root)
	copyAll.Stdin = strings.NewReader(strings.Join(list, "\x00"))
	if out, err := copyAll.CombinedOutput(); err != nil {
		return fmt.Errorf("copy the packages' files: %w: %s", err, out)
	}
	script := `cd "$1"
for dir in bin sbin lib lib64; do [ -e $dir ] || ln -s usr/$dir $dir; done
mkdir -p dev proc sys run tmp var/tmp root mnt etc usr/lib/modules
tar -C / --exclude=etc/systemd/system --exclude=etc/kelp --exclude=etc/cni -cf - etc usr/sbin/iptables usr/sbin/ip6tables | tar -xf -
mkdir -p etc/systemd/system/multi-user.target.wants
rm -f etc/fstab etc/resolv.conf; : >etc/resolv.conf
echo vm >etc/hostname; printf '127.0.0.1 localhost\n::1 localhost\n' >etc/hosts
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
cp -a "$2" usr/lib/modules/
depmod -b "$1" "$3"`
	if _, err := output(ctx, "sh", "-euc", script, "sh", root, k.modules, k.version); err != nil {
		return fmt.Errorf("make the disk's files: %w", err)
	}
	for path, machine := range spec.Files {
		if _, err := output(ctx, "install", "-D", "-m", "755", machine, filepath.Join(root, path)); err != nil {
			return fmt.Errorf("add a file to the disk: %w", err)
		}
	}
	for path, text := range spec.Texts {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("add a file to the disk: %w", err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			return fmt.Errorf("add a file to the disk: %w", err)
		}
	}
	for _, unit := range spec.Enable {
		link := filepath.Join(root, "etc/systemd/system/multi-user.target.wants", unit)
		if err := os.Symlink("/etc/systemd/system/"+unit, link); err != nil {
			return fmt.Errorf("enable unit %s: %w", unit, err)
		}
	}
	return nil
}

// packageFiles lists the files of the wanted packages and what they depend on,
// relative to /, without manuals.
func packageFiles(ctx context.Context) ([]string, error) {
	closure, err := output(ctx, "apt-cache", append([]string{
		"depends", "--recurse", "--installed", "--no-recommends", "--no-suggests", "--no-conflicts",
		"--no-breaks", "--no-replaces", "--no-enhances",
	}, wanted...)...)
	if err != nil {
		return nil, err
	}
	native, err := output(ctx, "dpkg", "--print-architecture")
	if err != nil {
		return nil, err
	}
	// A machine may have packages of another architecture, too; a name without one is
	// ambiguous then.
	var packages []string
	for _, line := range strings.Split(closure, "\n") {
		if line != "" && line[0] >= 'a' && line[0] <= 'z' && !strings.Contains(line, ":") {
			packages = append(packages, line+":"+strings.TrimSpace(native), line+":all")
		}
	}
	// The closure names alternatives that are not installed: dpkg -L says so
	// and goes on, and the status is not worth knowing.
	listed, _ := exec.CommandContext(ctx, "dpkg", append([]string{"-L"}, packages...)...).Output()
	var files []string
	for _, path := range strings.Split(string(listed), "\n") {
		if !strings.HasPrefix(path, "/") || path == "/." || hasAnyPrefix(path, "/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info") {
			continue
		}
		// /bin is a link to /usr/bin: a file is copied to where it really is.
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			continue
		}
		path = filepath.Join(dir, filepath.Base(path))
		if _, err := os.Lstat(path); err == nil {
			files = append(files, strings.TrimPrefix(path, "/"))
		}
	}
	slices.Sort(files)
	if files = slices.Compact(files); len(files) < 1000 {
		return nil, fmt.Errorf("the packages have only %d files: is this Debian?", len(files))
	}
	return files, nil
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
