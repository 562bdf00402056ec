package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// window is how far back the compressor looks for what programs have in
// common: across several programs. The decompressor needs as much memory, once;
// four times as much would save 5 % of the size.
const window = 16 << 20

// Pack writes the files under dir as the set called name into the directory
// out. The same files give the same bytes: no times, no owners, sorted names.
func Pack(dir, name, out string) (Set, error) {
	var archive bytes.Buffer
	files, err := pack(os.DirFS(dir), &archive)
	if err != nil {
		return Set{}, fmt.Errorf("pack %s: %w", dir, err)
	}
	set := Set{Name: name, Files: files}
	list, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		return Set{}, fmt.Errorf("encode list of helper programs: %w", err)
	}
	// The list is written last: without it the set counts as missing.
	err = errors.Join(
		writeFile(filepath.Join(out, name+".tar.zst"), archive.Bytes()),
		writeFile(filepath.Join(out, name+".json"), append(list, '\n')),
	)
	if err != nil {
		return Set{}, fmt.Errorf("write helper programs %q: %w", name, err)
	}
	return set, nil
}

func pack(src fs.FS, out io.Writer) ([]File, error) {
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(window))
	if err != nil {
		return nil, err
	}
	tw := tar.NewWriter(z)
	var files []File
	// WalkDir goes by name, which makes the order reproducible.
	err = fs.WalkDir(src, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		f, err := add(tw, src, path)
		files = append(files, f)
		return err
	})
	if err := errors.Join(err, tw.Close(), z.Close()); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("there is no file in it")
	}
	return files, nil
}

func add(tw *tar.Writer, src fs.FS, path string) (File, error) {
	data, err := fs.ReadFile(src, path)
	if err != nil {
		return File{}, err
	}
	header := &tar.Header{Name: path, Mode: 0o755, Size: int64(len(data)), Format: tar.FormatUSTAR}
	if err := tw.WriteHeader(header); err != nil {
		return File{}, err
	}
	if _, err := tw.Write(data); err != nil {
		return File{}, err
	}
	sum := sha256.Sum256(data)
	return File{Name: path, Size: header.Size, SHA256: hex.EncodeToString(sum[:])}, nil
}

// writeFile leaves a file alone that is as it should be, so that nothing is
// built anew because of it.
func writeFile(path string, data []byte) error {
	_, err := atomicfile.WriteIfChanged(path, data, 0o644)
	return err
}
