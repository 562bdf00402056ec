package payload

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/log"
	"github.com/klauspost/compress/zstd"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/payload/bundle"
)

// version is one version of a set, unpacked into a directory of its own.
type version struct {
	set    bundle.Set
	parent string // temporary directories are made here, on the same filesystem
	dir    string
}

// mark is what a program looked like when its hash was last seen to be right.
type mark struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

func (v version) path(f bundle.File) string { return filepath.Join(v.dir, filepath.FromSlash(f.Name)) }

func (v version) marksFile() string { return filepath.Join(v.dir, ".verified.json") }

// ensure makes every program of the version whole, and reports how many it
// had to write.
func (v version) ensure(ctx context.Context, src fs.FS) (int, error) {
	_, err := os.Stat(v.dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	bad := v.set.Files
	if !fresh {
		bad = v.damaged()
		for _, f := range bad {
			log.G(ctx).WithField("path", v.path(f)).Warn("helper program is damaged or missing, unpacking it again")
		}
	}
	if len(bad) > 0 {
		if err := v.extract(src, bad, fresh); err != nil {
			return 0, explain(err, v.set.Size())
		}
	}
	return len(bad), v.writeMarks()
}

// damaged lists the programs whose content is not what it should be. A
// program is hashed only if its size or time is not the one last seen.
func (v version) damaged() []bundle.File {
	marks := map[string]mark{}
	if data, err := os.ReadFile(v.marksFile()); err == nil && json.Unmarshal(data, &marks) != nil {
		clear(marks) // unreadable marks only cost the hashing
	}
	var bad []bundle.File
	for _, f := range v.set.Files {
		info, err := os.Stat(v.path(f))
		if err == nil && info.Mode().Perm() == 0o755 && info.Size() == f.Size {
			m, ok := marks[f.Name]
			if ok && m.Size == info.Size() && m.Modified.Equal(info.ModTime()) || hasHash(v.path(f), f.SHA256) {
				continue
			}
		}
		bad = append(bad, f)
	}
	return bad
}

func hasHash(path, want string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == want
}

// writeMarks remembers sizes and times of programs that are right.
func (v version) writeMarks() error {
	marks := map[string]mark{}
	for _, f := range v.set.Files {
		info, err := os.Stat(v.path(f))
		if err != nil {
			return err
		}
		marks[f.Name] = mark{Size: info.Size(), Modified: info.ModTime()}
	}
	data, err := json.MarshalIndent(marks, "", "  ")
	if err != nil {
		return err
	}
	_, err = atomicfile.WriteIfChanged(v.marksFile(), data, 0o644)
	return err
}

// extract writes files to a temporary directory, verifies them, and moves
// them to their place: the directory as a whole when it is fresh.
func (v version) extract(src fs.FS, files []bundle.File, fresh bool) (err error) {
	if err := checkSpace(v.parent, v.set.Size()); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(v.parent, ".unpack-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	archive, err := bundle.Open(src, v.set.Name)
	if err != nil {
		return err
	}
	defer archive.Close()
	if err := untar(archive, files, tmp); err != nil {
		return err
	}
	if fresh {
		if err := os.Rename(tmp, v.dir); err != nil {
			return err
		}
		return atomicfile.SyncDir(v.parent)
	}
	for _, f := range files {
		if err := v.replace(filepath.Join(tmp, filepath.FromSlash(f.Name)), f); err != nil {
			return err
		}
	}
	return nil
}

func (v version) replace(from string, f bundle.File) error {
	dir := filepath.Dir(v.path(f))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Rename(from, v.path(f)); err != nil {
		return err
	}
	return atomicfile.SyncDir(dir)
}

// untar writes the wanted files of a compressed archive below dir, durably.
func untar(archive io.Reader, wanted []bundle.File, dir string) error {
	z, err := zstd.NewReader(archive, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer z.Close()
	missing := make(map[string]bundle.File, len(wanted))
	for _, f := range wanted {
		missing[f.Name] = f
	}
	tr := tar.NewReader(z)
	for len(missing) > 0 {
		header, err := tr.Next()
		if err != nil {
			return fmt.Errorf("read embedded archive, %d programs to go: %w", len(missing), err)
		}
		f, ok := missing[header.Name]
		if !ok {
			continue
		}
		delete(missing, header.Name)
		if err := write(filepath.Join(dir, filepath.FromSlash(f.Name)), tr, f); err != nil {
			return err
		}
	}
	return syncDirs(dir)
}

func write(path string, r io.Reader, f bundle.File) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer out.Close()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, h), r); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != f.SHA256 {
		return fmt.Errorf("embedded program %s has sha256 %s, its list says %s: the kelp binary is damaged", f.Name, sum, f.SHA256)
	}
	// Chmod, as the umask of the process has taken bits away.
	if err := errors.Join(out.Chmod(0o755), out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func syncDirs(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return atomicfile.SyncDir(path)
	})
}
