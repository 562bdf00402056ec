package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// archives is the directory of users' archives and what is known of it.
type archives struct {
	dir    string
	record string // the file in which known is kept
	known  map[string]imported
	broken map[string]imported // so that each is reported once
	store  store
	now    func() time.Time
}

// imported is an archive that has been imported (or tried, if broken).
type imported struct {
	Size     int64             `json:"size"`
	Modified time.Time         `json:"modified"`
	SHA256   string            `json:"sha256"`
	Images   map[string]string `json:"images"` // digest by reference
}

// read takes what is known from the record.
func (a *archives) read() error {
	a.known, a.broken = map[string]imported{}, map[string]imported{}
	data, err := os.ReadFile(a.record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &a.known)
	}
	if err != nil {
		a.known = map[string]imported{}
		return fmt.Errorf("read record of imported archives: %w", err)
	}
	return nil
}

// scan imports what is new and forgets what is gone. It reports whether an
// archive is too young, so that another look is needed. One that cannot be
// imported is logged and stops no other.
func (a *archives) scan(ctx context.Context) (again bool) {
	files, err := a.list()
	if err != nil {
		log.G(ctx).WithError(err).WithField("path", a.dir).Warn("cannot look for image archives")
		return false
	}
	before := maps.Clone(a.known)
	have, err := a.store.digests(ctx)
	if err != nil {
		log.G(ctx).WithError(err).Warn("cannot look for image archives")
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		info := files[name]
		if age := a.now().Sub(info.ModTime()); age >= 0 && age < young {
			again = true
			continue
		}
		if ctx.Err() != nil {
			return false
		}
		a.visit(ctx, name, info, have)
	}
	forgetMissing(a.known, files)
	forgetMissing(a.broken, files)
	if err := a.store.unpin(ctx, unnamed(before, a.known)); err != nil {
		log.G(ctx).WithError(err).Warn("images of removed archives stay until they are removed by name")
	}
	if err := a.write(before); err != nil {
		log.G(ctx).WithError(err).Warn("image archives will be imported again at the next start")
	}
	return again
}

// list returns the archives in the directory by name.
func (a *archives) list() (map[string]fs.FileInfo, error) {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, err
	}
	files := map[string]fs.FileInfo{}
	for _, e := range entries {
		if !isArchive(e.Name()) {
			continue
		}
		// Stat follows links: archives may be kept elsewhere.
		info, err := os.Stat(filepath.Join(a.dir, e.Name()))
		if err == nil && info.Mode().IsRegular() {
			files[e.Name()] = info
		}
	}
	return files, nil
}

func isArchive(name string) bool {
	if strings.HasPrefix(name, ".") { // rsync's and others' temporary files
		return false
	}
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// visit imports one archive unless its content has been.
func (a *archives) visit(ctx context.Context, name string, info fs.FileInfo, have map[string]string) {
	now := imported{Size: info.Size(), Modified: info.ModTime()}
	if old, ok := a.known[name]; ok && now.sameFile(old) && old.isIn(have) {
		return
	}
	if old, ok := a.broken[name]; ok && now.sameFile(old) {
		return
	}
	started := time.Now()
	path := filepath.Join(a.dir, name)
	fresh, err := a.load(ctx, path, &now, have)
	if ctx.Err() != nil {
		return
	}
	logger := log.G(ctx).WithField("path", path)
	if err != nil {
		a.broken[name] = now
		delete(a.known, name)
		logger.WithError(err).Error("cannot import image archive; replace it, it is tried again when it changes")
		return
	}
	delete(a.broken, name)
	a.known[name] = now
	if fresh {
		logger.WithFields(log.Fields{"images": slices.Sorted(maps.Keys(now.Images)), "took": time.Since(started).Round(time.Millisecond)}).Info("imported image archive")
	}
}

// load fills in the archive's hash and images. It imports the archive, and
// reports so, unless one of the same content is known and still in the store.
func (a *archives) load(ctx context.Context, path string, now *imported, have map[string]string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	now.SHA256 = hex.EncodeToString(h.Sum(nil))
	for _, old := range a.known {
		if old.SHA256 == now.SHA256 && old.isIn(have) {
			now.Images = old.Images
			return false, nil
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	stream, err := compression.DecompressStream(f)
	if err != nil {
		return false, fmt.Errorf("decompress: %w", err)
	}
	defer stream.Close()
	if now.Images, err = a.store.load(ctx, stream); err != nil {
		return false, err
	}
	if len(now.Images) == 0 {
		return false, errors.New("it holds no image with a name; save it by name and tag, such as example.org/app:v1")
	}
	for ref, digest := range now.Images {
		have[ref] = digest
		if err := a.store.unpack(ctx, ref); err != nil {
			return true, err
		}
	}
	return true, nil
}

func (i imported) sameFile(old imported) bool {
	return i.Size == old.Size && i.Modified.Equal(old.Modified)
}

// isIn reports whether the store still has the archive's images, which a user
// may have removed. They may have another digest: another archive, or a pull,
// gave the name to another image, and the last one counts.
func (i imported) isIn(have map[string]string) bool {
	for ref := range i.Images {
		if _, ok := have[ref]; !ok {
			return false
		}
	}
	return true
}

// unnamed are the images that archives held before and none holds now.
func unnamed(before, now map[string]imported) []string {
	gone := map[string]bool{}
	for _, archive := range before {
		for ref := range archive.Images {
			gone[ref] = true
		}
	}
	for _, archive := range now {
		for ref := range archive.Images {
			delete(gone, ref)
		}
	}
	return slices.Sorted(maps.Keys(gone))
}

func forgetMissing(known map[string]imported, files map[string]fs.FileInfo) {
	maps.DeleteFunc(known, func(name string, _ imported) bool {
		_, ok := files[name]
		return !ok
	})
}

// write keeps what is known, if that is not what it was before.
func (a *archives) write(before map[string]imported) error {
	if maps.EqualFunc(a.known, before, func(x, y imported) bool {
		return x.sameFile(y) && x.SHA256 == y.SHA256 && maps.Equal(x.Images, y.Images)
	}) {
		return nil
	}
	data, err := json.MarshalIndent(a.known, "", "  ")
	if err != nil {
		return fmt.Errorf("record imported archives: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(a.record), 0o700); err != nil {
		return fmt.Errorf("record imported archives: %w", err)
	}
	if err := atomicfile.Write(a.record, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("record imported archives: %w", err)
	}
	return nil
}
