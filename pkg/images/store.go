package images

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
)

const (
	// namespace is where the CRI plugin keeps its images.
	namespace = "k8s.io"

	// The CRI plugin lists images that carry the first label, and tells the
	// kubelet of those that carry the second not to collect them.
	managedLabel, managed = "io.cri-containerd.image", "managed"
	pinnedLabel, pinned   = "io.cri-containerd.pinned", "pinned"
)

// containerd is a store: the image store of a running containerd. Its methods
// want a context with the namespace.
type containerd struct {
	client      *client.Client
	snapshotter string

	// one lets one import run at a time: each writes its index under the same
	// name in containerd, which tells of the second one as an error.
	one sync.Mutex
}

var _ store = (*containerd)(nil)

func dial(socket, snapshotter string) (store, error) {
	c, err := client.New(socket)
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", socket, err)
	}
	return &containerd{client: c, snapshotter: snapshotter}, nil
}

// Close ends the connection.
func (c *containerd) Close() error { return c.client.Close() }

func (c *containerd) digests(ctx context.Context) (map[string]string, error) {
	list, err := c.client.ImageService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	have := make(map[string]string, len(list))
	for _, img := range list {
		have[img.Name] = img.Target.Digest.String()
	}
	return have, nil
}

func (c *containerd) load(ctx context.Context, r io.Reader) (map[string]string, error) {
	c.one.Lock()
	defer c.one.Unlock()
	// The lease keeps containerd's garbage collector off until all names are there.
	ctx, done, err := c.client.WithLease(ctx)
	if err != nil {
		return nil, fmt.Errorf("lease content: %w", err)
	}
	defer done(context.WithoutCancel(ctx)) //nolint:errcheck // a lease that stays ends by itself
	list, err := c.client.Import(ctx, r,
		client.WithImageLabels(map[string]string{managedLabel: managed, pinnedLabel: pinned}),
		// An archive may hold one platform of an image's many.
		client.WithSkipMissing(),
		client.WithImageRefTranslator(fullReference),
	)
	if err != nil {
		return nil, err
	}
	loaded := make(map[string]string, len(list))
	for _, img := range list {
		if err := c.nameByID(ctx, img); err != nil {
			return nil, fmt.Errorf("name image %s by its id: %w", img.Name, err)
		}
		loaded[img.Name] = img.Target.Digest.String()
	}
	return loaded, nil
}

// fullReference makes the name of an image in an OCI layout what the kubelet
// asks for. Such a name may be a tag alone, which says nothing: then it is
// empty, and the image is not imported.
func fullReference(name string) string {
	if !strings.ContainsAny(name, "/:@") {
		return ""
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return ""
	}
	return reference.TagNameOnly(named).String()
}

// nameByID gives the image its second name, its configuration's digest, by
// which the kubelet asks for it. The CRI plugin does so only for images
// without its label, and would then announce them twice. That name is not
// pinned: when the first one moves on, the old image may be collected.
func (c *containerd) nameByID(ctx context.Context, img images.Image) error {
	config, err := img.Config(ctx, c.client.ContentStore(), platforms.Default())
	if err != nil {
		return fmt.Errorf("it is not for this machine's platform %s, or not whole: %w", platforms.DefaultString(), err)
	}
	byID := images.Image{Name: config.Digest.String(), Target: img.Target, Labels: map[string]string{managedLabel: managed}}
	_, err = c.client.ImageService().Create(ctx, byID)
	if errdefs.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (c *containerd) unpack(ctx context.Context, ref string) error {
	img, err := c.client.GetImage(ctx, ref)
	if err != nil {
		return fmt.Errorf("find image %s: %w", ref, err)
	}
	if err := img.Unpack(ctx, c.snapshotter); err != nil {
		return fmt.Errorf("unpack image %s: %w", ref, err)
	}
	return nil
}

func (c *containerd) unpin(ctx context.Context, refs []string) error {
	for _, ref := range refs {
		img, err := c.client.ImageService().Get(ctx, ref)
		if err == nil && img.Labels[pinnedLabel] == "" {
			continue
		}
		_, err = c.client.ImageService().Update(ctx, images.Image{Name: ref}, "labels."+pinnedLabel)
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("unpin image %s: %w", ref, err)
		}
	}
	return nil
}
