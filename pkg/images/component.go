package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/kelp-project/kelp/pkg/config"
)

// Importer brings images into containerd. Make one with New.
type Importer struct {
	dir      string // users' archives
	record   string // which of them have been imported
	embedded fs.FS
	connect  func() (store, error)
	ready    atomic.Bool
}

// store is the image store that is imported into: containerd's, or a test's.
// Methods are safe for concurrent use.
type store interface {
	io.Closer
	// digests returns the digest of each image by its reference.
	digests(ctx context.Context) (map[string]string, error)
	// load imports an archive, and returns what digests would say of its images.
	load(ctx context.Context, archive io.Reader) (map[string]string, error)
	// unpack makes an image's file system, so that a container starts sooner.
	unpack(ctx context.Context, ref string) error
	// unpin leaves images to the kubelet's garbage collector.
	unpin(ctx context.Context, refs []string) error
}

// New returns an Importer into the node's containerd, which must be ready
// when Run is called.
func New(cfg config.Config) *Importer {
	p := cfg.Paths()
	sub, err := fs.Sub(embedded, "embedded")
	if err != nil {
		panic(err) // impossible: the name is valid
	}
	return &Importer{
		dir:      p.Images,
		record:   p.ImagesImported,
		embedded: sub,
		connect: func() (store, error) {
			return dial(p.ContainerdSocket, string(cfg.Containerd.Snapshotter))
		},
	}
}

// Run imports what is embedded, then the archives in the images directory,
// and then every archive that appears there, until ctx ends. It fails when an
// embedded image cannot be imported, as no pod can run without.
func (i *Importer) Run(ctx context.Context) error {
	s, err := i.connect()
	if err != nil {
		return err
	}
	defer s.Close()
	ctx = namespaces.WithNamespace(ctx, namespace)
	if err := i.importEmbedded(ctx, s); err != nil {
		return ended(ctx, err)
	}
	i.ready.Store(true)
	return ended(ctx, i.watch(ctx, s))
}

// Ready returns nil once all embedded images are in the store.
func (i *Importer) Ready(context.Context) error {
	if !i.ready.Load() {
		return errors.New("packaged images are being imported")
	}
	return nil
}

// ended turns an error that comes from the end of ctx into none.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	return nil
}
