package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// File is one program of a set.
type File struct {
	Name   string `json:"name"` // slash-separated, relative: runc, cni/bridge
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Set is the list of programs that belong together.
type Set struct {
	Name  string `json:"name"`
	Files []File `json:"files"` // sorted by name
}

// ErrMissing says that a set is not there: the binary was built without it.
var ErrMissing = errors.New("not embedded in this binary")

// Version is a short hash over the content of all programs.
func (s Set) Version() string {
	h := sha256.New()
	for _, f := range s.Files {
		fmt.Fprintf(h, "%s %d %s\n", f.Name, f.Size, f.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Size is the sum of the programs' sizes in bytes.
func (s Set) Size() int64 {
	var sum int64
	for _, f := range s.Files {
		sum += f.Size
	}
	return sum
}

// Read returns the set called name from a directory of sets. The error wraps
// ErrMissing when there is none.
func Read(src fs.FS, name string) (Set, error) {
	data, err := fs.ReadFile(src, name+".json")
	if errors.Is(err, fs.ErrNotExist) {
		return Set{}, fmt.Errorf("helper programs %q: %w", name, ErrMissing)
	}
	if err != nil {
		return Set{}, fmt.Errorf("read list of helper programs: %w", err)
	}
	var s Set
	if err := json.Unmarshal(data, &s); err != nil {
		return Set{}, fmt.Errorf("read list of helper programs %s.json: %w", name, err)
	}
	return s, nil
}

// Open returns the compressed archive of the set called name.
func Open(src fs.FS, name string) (io.ReadCloser, error) {
	f, err := src.Open(name + ".tar.zst")
	if err != nil {
		return nil, fmt.Errorf("open archive of helper programs: %w", err)
	}
	return f, nil
}
