package archive

import (
	"archive/tar"
	"bytes"
	"cmp"
	_ "crypto/sha256" // go-digest uses it without importing it
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// nameAnnotation is where containerd looks for the image's full reference.
const nameAnnotation = "io.containerd.image.name"

// Image is what an image consists of.
type Image struct {
	Ref        string // the full reference, such as kelp.local/pause:v1.0.0
	User       string // uid:gid, numeric, so that the kubelet can see that it is not root
	Entrypoint []string
	Cmd        []string
	Env        []string
	Arch       string // as Go names it; this machine's when empty
	Files      []File
}

// Write writes the image to w and returns the digest of its manifest.
func Write(w io.Writer, img Image) (string, error) {
	l, err := newLayer(img.Files)
	if err != nil {
		return "", fmt.Errorf("make layer of %s: %w", img.Ref, err)
	}
	config, err := newBlob(ocispec.MediaTypeImageConfig, img.config(l.diffID))
	if err != nil {
		return "", err
	}
	manifest, err := newBlob(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config.desc,
		Layers:    []ocispec.Descriptor{l.desc},
	})
	if err != nil {
		return "", err
	}
	top := manifest.desc
	top.Platform = &ocispec.Platform{OS: "linux", Architecture: cmp.Or(img.Arch, runtime.GOARCH)}
	top.Annotations = map[string]string{nameAnnotation: img.Ref, ocispec.AnnotationRefName: img.Ref}
	index, err := newBlob(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{top},
	})
	if err != nil {
		return "", err
	}
	layout, err := newBlob("", ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return "", err
	}
	if err := writeLayout(w, []blob{l.blob, config, manifest}, index, layout); err != nil {
		return "", fmt.Errorf("write archive of %s: %w", img.Ref, err)
	}
	return manifest.desc.Digest.String(), nil
}

func (img Image) config(diffID digest.Digest) ocispec.Image {
	epoch := time.Unix(0, 0).UTC()
	env := img.Env
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, env...)
	}
	return ocispec.Image{
		Created:  &epoch,
		Platform: ocispec.Platform{OS: "linux", Architecture: cmp.Or(img.Arch, runtime.GOARCH)},
		Config:   ocispec.ImageConfig{User: img.User, Env: env, Entrypoint: img.Entrypoint, Cmd: img.Cmd, WorkingDir: "/"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
		History:  []ocispec.History{{Created: &epoch, CreatedBy: "kelp"}},
	}
}

// blob is a piece of content with its descriptor.
type blob struct {
	desc ocispec.Descriptor
	data []byte
}

func newBlob(mediaType string, value any) (blob, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return blob{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	return bytesBlob(mediaType, data), nil
}

func bytesBlob(mediaType string, data []byte) blob {
	return blob{
		desc: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))},
		data: data,
	}
}

func writeLayout(w io.Writer, blobs []blob, index, layout blob) error {
	tw := tar.NewWriter(w)
	put := func(name string, data []byte) error {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.Copy(tw, bytes.NewReader(data))
		return err
	}
	if err := put(ocispec.ImageLayoutFile, layout.data); err != nil {
		return err
	}
	for _, b := range blobs {
		if err := put("blobs/"+b.desc.Digest.Algorithm().String()+"/"+b.desc.Digest.Encoded(), b.data); err != nil {
			return err
		}
	}
	if err := put(ocispec.ImageIndexFile, index.data); err != nil {
		return err
	}
	return tw.Close()
}
