package datastore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// swap is a list of renames of which all are to be done, or none: between the
// first and the last a start would find no data, and begin an empty cluster.
type swap struct {
	Renames []rename `json:"renames"`
}

type rename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// write notes what is to be done. From here on it is done.
func (s swap) write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode renames: %w", err)
	}
	return atomicfile.Write(path, text, 0o600)
}

// FinishSwap does what is left of the renames that were noted, if there are any.
func FinishSwap(paths config.Paths) error {
	text, err := os.ReadFile(paths.Swap)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what is left to be renamed: %w", err)
	}
	var s swap
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("read what is left to be renamed, %s: %w", paths.Swap, err)
	}
	// The last rename is the one that counts: what it moved is not there any more.
	for _, r := range s.Renames {
		if !exists(s.Renames[len(s.Renames)-1].From) {
			break
		}
		if !exists(r.From) {
			continue // done before
		}
		if exists(r.To) {
			return fmt.Errorf("put the datastore in place: %s and %s are both there, and the second should not be: move it away", r.From, r.To)
		}
		if err := os.Rename(r.From, r.To); err != nil {
			return fmt.Errorf("put the datastore in place: %w", err)
		}
		for _, dir := range []string{filepath.Dir(r.From), filepath.Dir(r.To)} {
			if err := atomicfile.SyncDir(dir); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(paths.Swap); err != nil {
		return fmt.Errorf("remove the note of renames that are done: %w", err)
	}
	return atomicfile.SyncDir(filepath.Dir(paths.Swap))
}
