package payload

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/payload/bundle"
)

// programs packs files as the runtime set and returns where it is.
func programs(t *testing.T, files map[string]string) fs.FS {
	t.Helper()
	in, out := t.TempDir(), t.TempDir()
	for name, content := range files {
		path := filepath.Join(in, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bundle.Pack(in, runtimeSet, out); err != nil {
		t.Fatal(err)
	}
	return os.DirFS(out)
}

func newDirs(t *testing.T) Dirs {
	t.Helper()
	root := t.TempDir()
	return Dirs{Bin: filepath.Join(root, "bin"), CNIBin: filepath.Join(root, "bin", "cni")}
}

func mustUnpack(t *testing.T, src fs.FS, dirs Dirs) {
	t.Helper()
	if err := unpack(t.Context(), src, runtimeSet, dirs); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Fatalf("%s holds %q, %v; want %q", path, got, err, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
		t.Fatalf("%s is not an executable of everybody's: %v %v", path, info.Mode(), err)
	}
}

func versionDirs(t *testing.T, dirs Dirs) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dirs.Bin, versionsDir, runtimeSet+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnpackLinksEveryProgram(t *testing.T) {
	t.Parallel()
	dirs := newDirs(t)
	src := programs(t, map[string]string{"runc": "r", "cni/bridge": "b"})
	mustUnpack(t, src, dirs)
	mustUnpack(t, src, dirs)
	wantContent(t, filepath.Join(dirs.Bin, "runc"), "r")
	wantContent(t, filepath.Join(dirs.CNIBin, "bridge"), "b")
}

func TestUnpackRepairsDamage(t *testing.T) {
	t.Parallel()
	tests := map[string]func(path string) error{
		"another size":                func(p string) error { return os.WriteFile(p, []byte("r"), 0o755) },
		"same size":                   func(p string) error { return os.WriteFile(p, []byte("RUNC"), 0o755) },
		"gone":                        os.Remove,
		"not executable":              func(p string) error { return os.Chmod(p, 0o644) },
		"link replaced by a file":     nil, // below: it is about the link, not the program
		"its whole directory is gone": func(p string) error { return os.RemoveAll(filepath.Dir(p)) },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dirs := newDirs(t)
			src := programs(t, map[string]string{"runc": "runc", "cni/bridge": "bridge"})
			mustUnpack(t, src, dirs)
			link := filepath.Join(dirs.Bin, "runc")
			if damage == nil {
				if err := errors.Join(os.Remove(link), os.WriteFile(link, []byte("other"), 0o755)); err != nil {
					t.Fatal(err)
				}
			} else {
				program, err := os.Readlink(link)
				if err != nil {
					t.Fatal(err)
				}
				if err := damage(program); err != nil {
					t.Fatal(err)
				}
			}
			mustUnpack(t, src, dirs)
			wantContent(t, link, "runc")
			wantContent(t, filepath.Join(dirs.CNIBin, "bridge"), "bridge")
		})
	}
}

func TestUntouchedProgramsAreNotHashedAgain(t *testing.T) {
	t.Parallel()
	dirs := newDirs(t)
	src := programs(t, map[string]string{"runc": "runc"})
	mustUnpack(t, src, dirs)
	set, err := bundle.Read(src, runtimeSet)
	if err != nil {
		t.Fatal(err)
	}
	// A hash that cannot match shows that size and time were enough.
	set.Files[0].SHA256 = "another"
	v := version{set: set, dir: versionDirs(t, dirs)[0]}
	if bad := v.damaged(); len(bad) != 0 {
		t.Fatalf("an untouched program was hashed: %v", bad)
	}
	if err := os.Chtimes(v.path(set.Files[0]), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if bad := v.damaged(); len(bad) != 1 {
		t.Fatal("a program with another time was not hashed")
	}
}

func TestUsersPluginsStay(t *testing.T) {
	t.Parallel()
	dirs := newDirs(t)
	mustUnpack(t, programs(t, map[string]string{"cni/bridge": "1"}), dirs)
	own := filepath.Join(dirs.CNIBin, "calico")
	if err := os.WriteFile(own, []byte("calico"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustUnpack(t, programs(t, map[string]string{"cni/bridge": "2"}), dirs)
	wantContent(t, own, "calico")
	wantContent(t, filepath.Join(dirs.CNIBin, "bridge"), "2")
}

func TestOldVersionStaysWhileItRuns(t *testing.T) {
	t.Parallel()
	dirs := newDirs(t)
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(cat)
	if err != nil {
		t.Fatal(err)
	}
	mustUnpack(t, programs(t, map[string]string{"shim": string(program)}), dirs)
	shim := exec.CommandContext(t.Context(), filepath.Join(dirs.Bin, "shim"))
	stdin, err := shim.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shim.Start(); err != nil {
		t.Fatal(err)
	}
	next := programs(t, map[string]string{"shim": "next"})
	mustUnpack(t, next, dirs)
	if n := len(versionDirs(t, dirs)); n != 2 {
		t.Fatalf("%d versions while the old one runs, want 2", n)
	}
	if err := errors.Join(stdin.Close(), shim.Wait()); err != nil {
		t.Fatal(err)
	}
	mustUnpack(t, next, dirs)
	if n := len(versionDirs(t, dirs)); n != 1 {
		t.Fatalf("%d versions after the old one ended, want 1", n)
	}
}

func TestUnpackAtTheSameTime(t *testing.T) {
	t.Parallel()
	dirs := newDirs(t)
	src := programs(t, map[string]string{"runc": strings.Repeat("r", 1<<16), "cni/bridge": "b"})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := unpack(t.Context(), src, runtimeSet, dirs); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantContent(t, filepath.Join(dirs.CNIBin, "bridge"), "b")
}

func TestUnpackGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	dirs := newDirs(t)
	src := programs(t, map[string]string{"runc": "r"})
	mustUnpack(t, src, dirs)
	unlock, err := lock(t.Context(), filepath.Join(dirs.Bin, versionsDir, ".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := unpack(ctx, src, runtimeSet, dirs); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "another kelp") {
		t.Fatalf("got %v", err)
	}
}

func TestInterruptedUnpackingIsCleanedUp(t *testing.T) {
	t.Parallel()
	dirs := newDirs(t)
	left := filepath.Join(dirs.Bin, versionsDir, ".unpack-1", "cni")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	mustUnpack(t, programs(t, map[string]string{"runc": "r"}), dirs)
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("left behind: %v", err)
	}
}

func TestDamagedArchiveIsRefused(t *testing.T) {
	t.Parallel()
	dirs := newDirs(t)
	list := programs(t, map[string]string{"runc": "the list is of this"})
	archive := programs(t, map[string]string{"runc": "the archive has that"})
	err := unpack(t.Context(), mixed{list: list, archive: archive}, runtimeSet, dirs)
	if err == nil || !strings.Contains(err.Error(), "the kelp binary is damaged") {
		t.Fatalf("got %v", err)
	}
	if n := len(versionDirs(t, dirs)); n != 0 {
		t.Fatalf("%d versions after a failure, want none", n)
	}
}

// mixed takes the list from one place and the archive from another.
type mixed struct{ list, archive fs.FS }

func (m mixed) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, ".json") {
		return m.list.Open(name)
	}
	return m.archive.Open(name)
}

func TestMissingPayloadIsExplained(t *testing.T) {
	t.Parallel()
	err := unpack(t.Context(), os.DirFS(t.TempDir()), runtimeSet, newDirs(t))
	if !errors.Is(err, bundle.ErrMissing) {
		t.Fatalf("got %v", err)
	}
}

func TestFullDiskIsExplained(t *testing.T) {
	t.Parallel()
	err := explain(checkSpace(t.TempDir(), 1<<60), 1<<60)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "free at least") {
		t.Fatalf("got %v", err)
	}
}
