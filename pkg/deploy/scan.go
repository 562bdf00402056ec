package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// File is one manifest on disk.
type File struct {
	Path    string // below the manifests directory, with slashes
	Data    []byte
	Hash    string // SHA-256 of the content, in hexadecimal
	Skipped bool   // NAME.skip is beside it
	Err     error  // why it could not be read
}

const skipSuffix = ".skip"

// scan reads all manifests below dir, in the order of their paths. A
// directory that does not exist holds none.
func scan(dir string) ([]File, error) {
	var files []File
	skip := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed while we look
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".") && path != dir:
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil // an editor's, or one that is being written
		case d.IsDir():
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if name, ok := strings.CutSuffix(rel, skipSuffix); ok {
			skip[name] = true
			return nil
		}
		if isManifest(rel) {
			files = append(files, read(path, rel))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look into the manifests directory: %w", err)
	}
	kept := files[:0]
	for _, f := range files {
		f.Skipped = skip[f.Path]
		if !errors.Is(f.Err, fs.ErrNotExist) {
			kept = append(kept, f)
		}
	}
	return kept, nil
}

func isManifest(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func read(path, rel string) File {
	f := File{Path: rel}
	info, err := os.Stat(path) // follows a link to a file
	switch {
	case err != nil:
		f.Err = err
		return f
	case !info.Mode().IsRegular():
		f.Err = fmt.Errorf("%s: is not a file", rel)
		return f
	case info.Size() > maxFile:
		f.Err = fmt.Errorf("%s: has %d MB; a manifest has at most %d", rel, info.Size()>>20, maxFile>>20)
		return f
	}
	if f.Data, f.Err = os.ReadFile(path); f.Err == nil {
		sum := sha256.Sum256(f.Data)
		f.Hash = hex.EncodeToString(sum[:])
	}
	return f
}

var notInName = regexp.MustCompile(`[^a-z0-9.-]+`)

// addonName makes an object's name of a file's path. Where letters are lost,
// a part of a hash keeps two names apart.
func addonName(path string) string {
	plain := strings.TrimSuffix(path, filepath.Ext(path))
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(strings.ReplaceAll(plain, "/", ".")), "-"), ".-")
	if name == plain && len(name) <= 200 && filepath.Ext(path) == ".yaml" {
		return name
	}
	sum := sha256.Sum256([]byte(path))
	return strings.Trim(name[:min(len(name), 200)]+"-"+hex.EncodeToString(sum[:4]), ".-")
}
