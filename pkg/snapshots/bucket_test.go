package snapshots

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
)

// shelf is an object store as far as copies are listed, a page at a time, and deleted.
type shelf struct {
	mu   sync.Mutex
	keys []string
}

type page struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	NextContinuationToken string
	Contents              []struct {
		Key          string
		LastModified string
		Size         int
	}
}

// pageOf is how many keys a store tells at once, as S3 itself.
const pageOf = 1000

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodDelete {
		s.keys = slices.DeleteFunc(s.keys, func(k string) bool { return r.URL.Path == "/backups/"+k })
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var p page
	after, _ := strconv.Atoi(r.URL.Query().Get("continuation-token")) // "" is the beginning
	for i, key := range s.keys {
		switch {
		case i < after || !strings.HasPrefix(key, r.URL.Query().Get("prefix")):
		case len(p.Contents) == pageOf:
			p.IsTruncated, p.NextContinuationToken = true, strconv.Itoa(i)
			_ = xml.NewEncoder(w).Encode(p) // a client that has gone asks again
			return
		default:
			p.Contents = append(p.Contents, struct {
				Key          string
				LastModified string
				Size         int
			}{key, "2025-11-24T12:00:00.000Z", 7})
		}
	}
	_ = xml.NewEncoder(w).Encode(p)
}

// In an object store that clusters and servers share, with thousands of copies, the
// oldest scheduled ones of this server go, with their descriptions, and nothing else.
func TestCopiesAreKeptPerServerAndName(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	names := func(folder, prefix string, n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("%s%s-20251124t%06dz%s", folder, prefix, i, compressed))
		}
		return list
	}
	mine, others := names("clusters/a/", "kelp-one", 5000), slices.Concat(
		names("clusters/a/", "kelp-one-two", 2500), names("clusters/a/", "on-demand-one", 100),
		names("clusters/ab/", "kelp-one", 2500), names("", "kelp-one", 10),
	)
	for _, name := range slices.Concat(mine, others) {
		s.keys = append(s.keys, name, name+besides)
	}
	slices.Sort(s.keys)
	store := httptest.NewServer(s)
	defer store.Close()
	cfg := config.Default().S3
	cfg.Endpoint, cfg.Bucket, cfg.Folder, cfg.CredentialsFile = store.URL, "backups", "clusters/a", keysFile(t)
	b, err := OpenBucket(t.Context(), cfg, func() (kubernetes.Interface, error) { return NoAPI() })
	if err != nil {
		t.Fatal(err)
	}
	if list, err := b.List(t.Context()); err != nil || len(list) != 7600 {
		t.Fatalf("%d copies are listed, %v", len(list), err)
	}
	if err := b.Prune(t.Context(), "kelp-one-", 4990); err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, key := range s.keys {
		left[key] = true
	}
	for i, name := range slices.Concat(mine, others) {
		for _, key := range []string{name, name + besides} {
			if stays := left[key]; stays != (i >= 10) {
				t.Errorf("%s stays: %t", key, stays)
			}
		}
	}
}

// What was asked for must not look like a scheduled one there.
func TestANameOfScheduledSnapshotsIsRefused(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	if _, err := Save(t.Context(), cfg, Request{Name: cfg.Snapshots.Name, Reason: OnDemand, Dir: Dir(cfg.SnapshotDir())}); err == nil || !strings.Contains(err.Error(), "choose another name") {
		t.Errorf("got %v", err)
	}
}

func keysFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "s3")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = a\naws_secret_access_key = b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
