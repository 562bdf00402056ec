package images

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/containerd/log"
	"golang.org/x/sync/errgroup"
)

//go:embed embedded
var embedded embed.FS

// ErrMissing says that the binary was built without its images.
var ErrMissing = errors.New("not embedded in this binary: build it with make build, not with go build")

// urgent is how many of Names are unpacked at once: the pod sandbox's image and
// DNS, which others wait for. The rest is only put into the store, and the CRI
// plugin unpacks what a pod asks for: by then the API server has started and
// no longer needs the processor, and what is disabled is never unpacked.
const urgent = 2

// parallel is how many images are handled at once. More take the processor
// from the API server, which starts at the same time.
const parallel = 2

// entry is one embedded image, as scripts/mkimage describes it.
type entry struct {
	Ref     string `json:"ref"`
	Digest  string `json:"digest"` // of its manifest
	archive string // the file's name
}

// readEntries returns the embedded images in the order of Names.
func readEntries(src fs.FS) ([]entry, error) {
	entries := make([]entry, len(Names))
	for i, ref := range Names {
		name, _, _ := strings.Cut(path.Base(ref), ":")
		data, err := fs.ReadFile(src, name+".json")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("image %s: %w", ref, ErrMissing)
		}
		if err != nil {
			return nil, fmt.Errorf("read embedded image %s: %w", ref, err)
		}
		e := entry{archive: name + ".tar"}
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, fmt.Errorf("read embedded image %s: %w", ref, err)
		}
		if e.Ref != ref {
			return nil, fmt.Errorf("embedded image %s is not %s: build again with make build", e.Ref, ref)
		}
		entries[i] = e
	}
	return entries, nil
}

// importEmbedded puts the embedded images that the store lacks into it.
func (i *Importer) importEmbedded(ctx context.Context, s store) error {
	started := time.Now()
	entries, err := readEntries(i.embedded)
	if err != nil {
		return err
	}
	have, err := s.digests(ctx)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	imported := 0
	for n, e := range entries {
		if have[e.Ref] == e.Digest {
			continue
		}
		imported++
		group.Go(func() error { return i.importEntry(groupCtx, s, e, n < urgent) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if imported > 0 {
		log.G(ctx).WithFields(log.Fields{"images": imported, "took": time.Since(started).Round(time.Millisecond)}).Info("imported packaged images")
	}
	return s.unpin(ctx, outdated(have))
}

// outdated are images of another kelp's, which may now be collected.
func outdated(have map[string]string) []string {
	current := map[string]bool{}
	for _, ref := range Names {
		current[ref] = true
	}
	var old []string
	for ref := range have {
		if strings.HasPrefix(ref, "kelp.local/") && !current[ref] {
			old = append(old, ref)
		}
	}
	return old
}

func (i *Importer) importEntry(ctx context.Context, s store, e entry, unpack bool) error {
	f, err := i.embedded.Open(e.archive)
	if err != nil {
		return fmt.Errorf("open embedded image %s: %w", e.Ref, err)
	}
	defer f.Close()
	images, err := s.load(ctx, f)
	if err != nil {
		return fmt.Errorf("import embedded image %s: %w", e.Ref, err)
	}
	if images[e.Ref] != e.Digest {
		return fmt.Errorf("import embedded image %s: its archive holds %v: the kelp binary is damaged", e.Ref, images)
	}
	if unpack {
		return s.unpack(ctx, e.Ref)
	}
	return nil
}
