package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	bolt "go.etcd.io/bbolt"

	"github.com/kelp-project/kelp/pkg/images/archive"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// realStore is containerd's own content and metadata, without the daemon. It
// only notes what would be unpacked, as mounting needs root.
type realStore struct {
	*containerd
	mu       sync.Mutex
	loads    int
	unpacked []string
}

func (s *realStore) load(ctx context.Context, r io.Reader) (map[string]string, error) {
	s.mu.Lock()
	s.loads++
	s.mu.Unlock()
	return s.containerd.load(ctx, r)
}

func (s *realStore) unpack(_ context.Context, ref string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unpacked = append(s.unpacked, ref)
	return nil
}

func (s *realStore) Close() error { return nil }

func newStore(t *testing.T) *realStore {
	t.Helper()
	dir := t.TempDir()
	content, err := local.NewStore(filepath.Join(dir, "content"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := bolt.Open(filepath.Join(dir, "meta.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	db := metadata.NewDB(file, content, nil)
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := client.New("", client.WithServices(
		client.WithContentStore(db.ContentStore()),
		client.WithImageStore(metadata.NewImageStore(db)),
		client.WithLeasesService(metadata.NewLeaseManager(db)),
	))
	if err != nil {
		t.Fatal(err)
	}
	return &realStore{containerd: &containerd{client: c}}
}

func testContext(t *testing.T) context.Context {
	return namespaces.WithNamespace(t.Context(), namespace)
}

// makeArchive is an archive of one image; content makes it differ from others.
func makeArchive(t *testing.T, ref, content string) (data []byte, digest string) {
	t.Helper()
	var buf bytes.Buffer
	digest, err := archive.Write(&buf, archive.Image{
		Ref: ref, Entrypoint: []string{"/app"}, Files: []archive.File{{Path: "/app", Mode: 0o755, Data: []byte(content)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), digest
}

// makeEmbedded is what scripts/images makes, with other content.
func makeEmbedded(t *testing.T) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for _, ref := range Names {
		data, digest := makeArchive(t, ref, ref)
		list, err := json.Marshal(entry{Ref: ref, Digest: digest})
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(path.Base(ref), ":")
		files[name+".tar"] = &fstest.MapFile{Data: data}
		files[name+".json"] = &fstest.MapFile{Data: list}
	}
	return files
}

// start runs an importer until the test ends.
func start(t *testing.T, i *Importer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	if err := poll.Until(t.Context(), 20*time.Second, i.Ready); err != nil {
		t.Fatal(err)
	}
}

func newImporter(t *testing.T, s store, src fs.FS) *Importer {
	t.Helper()
	dir := t.TempDir()
	return &Importer{
		dir: filepath.Join(dir, "images"), record: filepath.Join(dir, "agent", "imported.json"),
		embedded: src, connect: func() (store, error) { return s, nil },
	}
}

func TestEmbeddedImagesAreImportedOnceAndPinned(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	src := makeEmbedded(t)
	start(t, newImporter(t, s, src))
	start(t, newImporter(t, s, src))
	if s.loads != len(Names) {
		t.Errorf("%d imports in two starts, want %d", s.loads, len(Names))
	}
	slices.Sort(s.unpacked)
	if want := []string{CoreDNS, Pause}; !slices.Equal(s.unpacked, want) {
		t.Errorf("unpacked %v, want %v", s.unpacked, want)
	}
	list, err := s.client.ImageService().List(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	byID := 0
	for _, img := range list {
		if img.Labels[managedLabel] != managed {
			t.Errorf("the kubelet would not see %s", img.Name)
		}
		if strings.HasPrefix(img.Name, "sha256:") {
			byID++
		} else if img.Labels[pinnedLabel] != pinned {
			t.Errorf("the kubelet would collect %s", img.Name)
		}
	}
	if byID != len(Names) || len(list) != 2*len(Names) {
		t.Errorf("%d names, %d of them ids; want each image by reference and id", len(list), byID)
	}
}

func TestOutdatedImagesAreUnpinned(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := testContext(t)
	old := "kelp.local/coredns:v0.0.1"
	data, _ := makeArchive(t, old, "old")
	if _, err := s.load(ctx, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	start(t, newImporter(t, s, makeEmbedded(t)))
	img, err := s.client.ImageService().Get(ctx, old)
	if err != nil || img.Labels[pinnedLabel] == pinned {
		t.Fatalf("got %v, %v; want the image unpinned", img.Labels, err)
	}
}

func TestRunNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	without := makeEmbedded(t)
	delete(without, "coredns.json")
	renamed := makeEmbedded(t)
	renamed["coredns.json"] = &fstest.MapFile{Data: []byte(`{"ref":"kelp.local/coredns:v0"}`)}
	swapped := makeEmbedded(t)
	swapped["pause.tar"] = swapped["busybox.tar"]
	tests := map[string]struct {
		src  fs.FS
		want string
	}{
		"not built":     {without, "image " + CoreDNS + ": not embedded in this binary"},
		"other version": {renamed, "embedded image kelp.local/coredns:v0 is not " + CoreDNS},
		"other content": {swapped, "import embedded image " + Pause},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newImporter(t, newStore(t), tt.src)
			if err := i.Run(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if i.Ready(t.Context()) == nil {
				t.Fatal("ready without its images")
			}
		})
	}
	if err := newImporter(t, newStore(t), without).Run(t.Context()); !errors.Is(err, ErrMissing) {
		t.Fatalf("got %v", err)
	}
}

// TestEmbeddedIsWhatNamesSays checks the images of this build, if it has any.
func TestEmbeddedIsWhatNamesSays(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("embedded/pause.json"); errors.Is(err, fs.ErrNotExist) {
		return // built without images: TestRunNamesWhatIsMissing is about that
	}
	if _, err := readEntries(os.DirFS("embedded")); err != nil {
		t.Fatal(err)
	}
}

// TestNamesFollowModules compares the constants with what scripts/images builds.
func TestNamesFollowModules(t *testing.T) {
	t.Parallel()
	for ref, module := range map[string]string{
		CoreDNS:       "github.com/coredns/coredns",
		MetricsServer: "sigs.k8s.io/metrics-server",
		LocalPath:     "github.com/rancher/local-path-provisioner",
	} {
		name, version, _ := strings.Cut(path.Base(ref), ":")
		data, err := os.ReadFile(filepath.Join("..", "..", "scripts", "modules", name, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), module+" "+version) {
			t.Errorf("scripts/modules/%s does not pin %s %s", name, module, version)
		}
	}
}
