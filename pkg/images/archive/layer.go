package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// File is an entry of an image's file system, owned by root. The directories
// above it are made with mode 0755.
type File struct {
	Path string // absolute, in the image
	Mode int64  // permission bits, including sticky
	Data []byte // a regular file's content
	Link string // a symbolic link's target, if not empty
	Dir  bool   // a directory
}

type layer struct {
	blob
	diffID digest.Digest // of the uncompressed layer
}

func newLayer(files []File) (layer, error) {
	var compressed bytes.Buffer
	z, err := zstd.NewWriter(&compressed, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return layer{}, err
	}
	diffID := digest.Canonical.Digester()
	tw := tar.NewWriter(io.MultiWriter(z, diffID.Hash()))
	for _, f := range withParents(files) {
		if err := f.write(tw); err != nil {
			return layer{}, fmt.Errorf("add %s: %w", f.Path, err)
		}
	}
	if err := errors.Join(tw.Close(), z.Close()); err != nil {
		return layer{}, err
	}
	return layer{blob: bytesBlob(ocispec.MediaTypeImageLayerZstd, compressed.Bytes()), diffID: diffID.Digest()}, nil
}

// withParents sorts files by path and puts every missing directory before
// what is in it.
func withParents(files []File) []File {
	all := map[string]File{}
	for _, f := range files {
		f.Path = path.Clean("/" + f.Path)
		all[f.Path] = f
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = File{Path: dir, Mode: 0o755, Dir: true}
			}
		}
	}
	sorted := make([]File, 0, len(all))
	for _, f := range all {
		sorted = append(sorted, f)
	}
	slices.SortFunc(sorted, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return sorted
}

func (f File) write(tw *tar.Writer) error {
	header := &tar.Header{Name: f.Path[1:], Mode: f.Mode, Format: tar.FormatUSTAR}
	switch {
	case f.Dir:
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
	case f.Link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.Link, 0o777
	default:
		header.Typeflag, header.Size = tar.TypeReg, int64(len(f.Data))
	}
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	_, err := tw.Write(f.Data)
	return err
}
