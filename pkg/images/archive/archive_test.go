package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var example = Image{
	Ref: "example.test/app:v1", User: "65532:65532", Entrypoint: []string{"/usr/bin/app"}, Cmd: []string{"-v"},
	Files: []File{
		{Path: "/usr/bin/app", Mode: 0o755, Data: []byte("program")},
		{Path: "/tmp", Mode: 0o1777, Dir: true},
		{Path: "/bin/sh", Link: "busybox"},
	},
}

func write(t *testing.T, img Image) ([]byte, string) {
	t.Helper()
	var buf bytes.Buffer
	d, err := Write(&buf, img)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), d
}

// untar returns the content of each entry, links as their targets, and modes.
func untar(t *testing.T, r io.Reader) (contents map[string][]byte, modes map[string]int64) {
	t.Helper()
	contents, modes = map[string][]byte{}, map[string]int64{}
	tr := tar.NewReader(r)
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return contents, modes
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeSymlink {
			data = []byte(header.Linkname)
		}
		contents[header.Name], modes[header.Name] = data, header.Mode
	}
}

func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWriteIsReproducible(t *testing.T) {
	t.Parallel()
	first, digest := write(t, example)
	second, again := write(t, example)
	if !bytes.Equal(first, second) || digest != again {
		t.Fatal("the same image gave other bytes")
	}
}

func TestArchiveIsConsistent(t *testing.T) {
	t.Parallel()
	data, top := write(t, example)
	files, _ := untar(t, bytes.NewReader(data))
	index := decode[ocispec.Index](t, files[ocispec.ImageIndexFile])
	if len(index.Manifests) != 1 || index.Manifests[0].Annotations[nameAnnotation] != example.Ref || string(index.Manifests[0].Digest) != top {
		t.Fatalf("index %+v", index)
	}
	blob := func(d ocispec.Descriptor) []byte {
		content := files["blobs/sha256/"+d.Digest.Encoded()]
		if int64(len(content)) != d.Size || digest.FromBytes(content) != d.Digest {
			t.Fatalf("blob %s is not what its descriptor says", d.Digest)
		}
		return content
	}
	manifest := decode[ocispec.Manifest](t, blob(index.Manifests[0]))
	config := decode[ocispec.Image](t, blob(manifest.Config))
	if config.Config.User != example.User || config.Config.Entrypoint[0] != example.Entrypoint[0] || config.OS != "linux" {
		t.Errorf("config %+v", config)
	}
	z, err := zstd.NewReader(bytes.NewReader(blob(manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	layer, err := io.ReadAll(z)
	if err != nil || digest.FromBytes(layer) != config.RootFS.DiffIDs[0] {
		t.Fatalf("the layer is not what its config says: %v", err)
	}
	contents, modes := untar(t, bytes.NewReader(layer))
	if string(contents["usr/bin/app"]) != "program" || string(contents["bin/sh"]) != "busybox" {
		t.Errorf("contents %q", contents)
	}
	if modes["tmp/"] != 0o1777 || modes["usr/bin/app"] != 0o755 || modes["usr/"] != 0o755 {
		t.Errorf("modes %v", modes)
	}
}
