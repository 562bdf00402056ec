package payload

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/payload/bundle"
)

//go:embed embedded
var embedded embed.FS

// The embedded sets of programs.
const (
	runtimeSet = "runtime" // what pods need: unpacked at start
	toolsSet   = "tools"   // what people need: unpacked when first used
)

// versionsDir is where the programs themselves are, below the Bin directory.
const versionsDir = ".versions"

// Dirs is where the programs are linked to.
type Dirs struct {
	Bin    string // runc, containerd-shim-runc-v2
	CNIBin string // CNI plugins
}

// Unpack makes runc, containerd's shim and the CNI plugins available in dirs.
// It does next to nothing when they are there already. Processes that call it
// at the same time wait for each other.
func Unpack(ctx context.Context, dirs Dirs) error {
	return unpackEmbedded(ctx, runtimeSet, dirs)
}

// Tool makes a program for people (crictl) available and returns its path.
func Tool(ctx context.Context, dirs Dirs, name string) (string, error) {
	if err := unpackEmbedded(ctx, toolsSet, dirs); err != nil {
		return "", err
	}
	path := dirs.link(name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find tool %q: %w", name, err)
	}
	return path, nil
}

func unpackEmbedded(ctx context.Context, name string, dirs Dirs) error {
	src, err := fs.Sub(embedded, "embedded")
	if err != nil {
		return fmt.Errorf("open embedded programs: %w", err)
	}
	err = unpack(ctx, src, name, dirs)
	if errors.Is(err, bundle.ErrMissing) {
		return fmt.Errorf("%w: build it with make build, not with go build", err)
	}
	return err
}

func unpack(ctx context.Context, src fs.FS, name string, dirs Dirs) error {
	started := time.Now()
	set, err := bundle.Read(src, name)
	if err != nil {
		return err
	}
	if dirs, err = dirs.prepare(); err != nil {
		return err
	}
	versions := filepath.Join(dirs.Bin, versionsDir)
	unlock, err := lock(ctx, filepath.Join(versions, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()

	v := version{set: set, parent: versions, dir: filepath.Join(versions, name+"-"+set.Version())}
	written, err := v.ensure(ctx, src)
	if err != nil {
		return fmt.Errorf("unpack helper programs into %s: %w", v.dir, err)
	}
	for _, f := range set.Files {
		if err := replaceLink(dirs.link(f.Name), v.path(f)); err != nil {
			return fmt.Errorf("link helper program: %w", err)
		}
	}
	if written > 0 {
		level := log.InfoLevel
		if name == toolsSet {
			level = log.DebugLevel // a person who asked for a tool wants to see its output alone
		}
		log.G(ctx).WithFields(log.Fields{"path": v.dir, "took": time.Since(started).Round(time.Millisecond)}).Log(level, "unpacked helper programs")
	}
	removeUnused(ctx, versions, name, v.dir)
	return nil
}

// prepare makes the directories and returns their absolute paths, as links
// with relative targets break where a parent is itself a link.
func (d Dirs) prepare() (Dirs, error) {
	var err error
	if d.Bin, err = filepath.Abs(d.Bin); err != nil {
		return d, fmt.Errorf("find directory for helper programs: %w", err)
	}
	if d.CNIBin, err = filepath.Abs(d.CNIBin); err != nil {
		return d, fmt.Errorf("find directory for CNI plugins: %w", err)
	}
	for _, dir := range []string{filepath.Join(d.Bin, versionsDir), d.CNIBin} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return d, fmt.Errorf("make directory for helper programs: %w", err)
		}
	}
	return d, nil
}

// link is the stable path of the program called name in a set.
func (d Dirs) link(name string) string {
	if plugin, ok := strings.CutPrefix(name, "cni/"); ok {
		return filepath.Join(d.CNIBin, plugin)
	}
	return filepath.Join(d.Bin, name)
}

// replaceLink points path to target in one step. Whatever file was there (a
// plugin that a network's installer copied over ours) is replaced.
func replaceLink(path, target string) error {
	if old, err := os.Readlink(path); err == nil && old == target {
		return nil
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
