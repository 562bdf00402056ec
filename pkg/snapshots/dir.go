package snapshots

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kelp-project/kelp/pkg/datastore/snapshot"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// The ends of the names of files.
const (
	extension  = ".snapshot"
	compressed = extension + ".zst"
	besides    = ".json"
	partial    = ".partial"
)

// Entry is a snapshot that was read back after it was written.
type Entry struct {
	Name string `json:"name"` // of the file
	snapshot.Metadata
	snapshot.Summary
	Size     int64     `json:"size"` // of the file
	Verified time.Time `json:"verified"`
	Location string    `json:"location"`           // the path, or the URL in S3
	Uploaded string    `json:"uploaded,omitempty"` // the URL of the copy in the object store
	Problem  string    `json:"problem,omitempty"`
}

// Dir is a directory of snapshots.
type Dir string

// Path is where a snapshot is. What has a slash in it is a path already.
func (d Dir) Path(name string) string {
	if strings.ContainsRune(name, filepath.Separator) {
		return name
	}
	return filepath.Join(string(d), name)
}

// Make makes the directory, for root alone.
func (d Dir) Make() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("make the directory of snapshots: %w", err)
	}
	return nil
}

// List returns the snapshots, the oldest first. One without a description, or
// with another size than it says, is listed with that problem.
func (d Dir) List() ([]Entry, error) {
	files, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var list []Entry
	for _, f := range files {
		if isSnapshot(f.Name()) {
			list = append(list, d.entry(f.Name()))
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Name, b.Name)) })
	return list, nil
}

func isSnapshot(name string) bool {
	return strings.HasSuffix(name, extension) || strings.HasSuffix(name, compressed)
}

func (d Dir) entry(name string) Entry {
	path := d.Path(name)
	e, err := describe(path)
	if err != nil {
		e.Problem = err.Error()
	}
	e.Name, e.Location = name, path
	return e
}

// describe reads what stands beside a file, and looks at the file's size.
func describe(path string) (Entry, error) {
	var e Entry
	info, err := os.Stat(path)
	if err != nil {
		return e, fmt.Errorf("look at it: %w", err)
	}
	e.Size, e.Created = info.Size(), info.ModTime().UTC()
	text, err := os.ReadFile(path + besides)
	if errors.Is(err, fs.ErrNotExist) {
		return e, errors.New("its description is missing: kelp snapshot verify makes it anew")
	}
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err != nil {
		return e, fmt.Errorf("read its description: %w", err)
	}
	if size := e.Size; size != info.Size() {
		e.Size = info.Size()
		return e, fmt.Errorf("it has %d bytes and had %d", e.Size, size)
	}
	return e, nil
}

// Verify reads a whole file, and writes the description beside it that says so.
func Verify(path string, now time.Time) (Entry, error) {
	s, err := snapshot.Open(path)
	if err != nil {
		return Entry{}, err
	}
	return proven(s, path, now)
}

// proven writes the description of a snapshot that was read.
func proven(s *snapshot.Snapshot, path string, now time.Time) (Entry, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Entry{}, fmt.Errorf("look at snapshot: %w", err)
	}
	e := Entry{
		Name: strings.TrimSuffix(filepath.Base(path), partial), Metadata: s.Metadata, Summary: s.Summary,
		Size: info.Size(), Verified: now.UTC().Truncate(time.Second), Location: strings.TrimSuffix(path, partial),
	}
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return Entry{}, fmt.Errorf("describe snapshot: %w", err)
	}
	return e, atomicfile.Write(e.Location+besides, append(text, '\n'), 0o600)
}

// Delete removes a snapshot and its description.
func (d Dir) Delete(name string) error {
	if !isSnapshot(name) || strings.ContainsRune(name, filepath.Separator) {
		return fmt.Errorf("there is no snapshot %q: kelp snapshot list shows those that are there", name)
	}
	// The description last: a file without one is taken for a problem.
	if err := os.Remove(d.Path(name)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no snapshot %q in %s", name, d)
	} else if err != nil {
		return fmt.Errorf("delete snapshot: %w", err)
	}
	if err := os.Remove(d.Path(name) + besides); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete the description of snapshot %s: %w", name, err)
	}
	return atomicfile.SyncDir(string(d))
}

// Retention is how many of which snapshots are kept.
type Retention struct {
	Keep   int           // how many, 0 for all
	MaxAge time.Duration // and how old; the newest few stay
}

// spared is how many of the newest stay however old they are: a clock that jumps a
// year ahead must not cost them.
const spared = 3

// Surplus are the snapshots that are not to be kept: of the scheduled ones of
// this node, which the list has from the oldest to the newest, those that are too
// many or too old.
func (r Retention) Surplus(list []Entry, node string, now time.Time) []Entry {
	var mine, surplus []Entry
	for _, e := range list {
		if e.Reason == Scheduled && e.Node == node && !e.Pinned && e.Problem == "" {
			mine = append(mine, e)
		}
	}
	for i, e := range mine {
		newer := len(mine) - 1 - i
		tooMany := r.Keep > 0 && newer >= r.Keep
		tooOld := r.MaxAge > 0 && now.Sub(e.Created) > r.MaxAge && newer >= spared
		if tooMany || tooOld {
			surplus = append(surplus, e)
		}
	}
	return surplus
}

// Prune deletes the surplus, and returns it.
func (d Dir) Prune(r Retention, node string, now time.Time) ([]Entry, error) {
	list, err := d.List()
	if err != nil {
		return nil, err
	}
	surplus := r.Surplus(list, node, now)
	for _, e := range surplus {
		if err := d.Delete(e.Name); err != nil {
			return nil, err
		}
	}
	return surplus, nil
}

// clean removes what killed processes have left.
func (d Dir) clean(now time.Time) error {
	left, err := filepath.Glob(filepath.Join(string(d), "*"+partial))
	if err != nil {
		return fmt.Errorf("look for what is left of snapshots: %w", err)
	}
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && now.Sub(info.ModTime()) > abandoned {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove what is left of a snapshot: %w", err)
			}
		}
	}
	return nil
}

// abandoned is after how long without a write a partial file is nobody's: a page
// takes milliseconds, and a disk that stalls a minute.
const abandoned = 10 * time.Minute
