package images

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// drop puts an archive into the directory as if it had been there for a while.
func drop(t *testing.T, a *archives, name string, data []byte) {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	past := a.now().Add(-time.Hour).Add(time.Duration(len(data)) * time.Microsecond)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
}

func newArchives(t *testing.T, s store) *archives {
	t.Helper()
	now := time.Now()
	a := &archives{dir: t.TempDir(), record: filepath.Join(t.TempDir(), "imported.json"), store: s, now: func() time.Time { return now }}
	if err := a.read(); err != nil {
		t.Fatal(err)
	}
	return a
}

func wantImages(t *testing.T, s *realStore, refs ...string) {
	t.Helper()
	have, err := s.digests(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		if have[ref] == "" {
			t.Errorf("%s is not in the store: %v", ref, have)
		}
	}
}

func TestArchivesInEveryFormAreImportedOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newArchives(t, s)
	plain, _ := makeArchive(t, "example.test/plain:1", "1")
	zipped, _ := makeArchive(t, "example.test/gzip:1", "2")
	zstded, _ := makeArchive(t, "example.test/zstd:1", "3")
	drop(t, a, "plain.tar", plain)
	drop(t, a, "gzip.tar.gz", gzipped(t, zipped))
	drop(t, a, "zstd.tar.zst", zstandard(t, zstded))
	drop(t, a, "README.md", []byte("not an archive"))
	drop(t, a, ".plain.tar", []byte("a temporary file of rsync's"))
	if a.scan(testContext(t)) {
		t.Error("another look is asked for, though all archives are old")
	}
	wantImages(t, s, "example.test/plain:1", "example.test/gzip:1", "example.test/zstd:1")
	restarted := *a
	if err := restarted.read(); err != nil {
		t.Fatal(err)
	}
	restarted.scan(testContext(t))
	if s.loads != 3 {
		t.Errorf("%d imports, want 3: an archive was imported again", s.loads)
	}
	if len(s.unpacked) != 3 {
		t.Errorf("unpacked %v", s.unpacked)
	}
}

func TestSameContentUnderAnotherNameIsNotImportedAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newArchives(t, s)
	data, _ := makeArchive(t, "example.test/app:1", "1")
	drop(t, a, "a.tar", data)
	a.scan(testContext(t))
	drop(t, a, "b.tar", data)
	a.scan(testContext(t))
	if s.loads != 1 || len(a.known) != 2 {
		t.Fatalf("%d imports and %d records, want 1 and 2", s.loads, len(a.known))
	}
}

func TestBrokenArchiveStopsNoOther(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newArchives(t, s)
	good, _ := makeArchive(t, "example.test/good:1", "1")
	mended, _ := makeArchive(t, "example.test/mended:1", "2")
	nameless, _ := makeArchive(t, "", "3")
	drop(t, a, "a-broken.tar", mended[:len(mended)/2])
	drop(t, a, "b-text.tar", []byte("this is not an archive"))
	drop(t, a, "c-nameless.tar", nameless)
	drop(t, a, "d-good.tar", good)
	a.scan(testContext(t))
	wantImages(t, s, "example.test/good:1")
	loads := s.loads
	a.scan(testContext(t))
	if s.loads != loads {
		t.Error("a broken archive is tried again though it did not change")
	}
	drop(t, a, "a-broken.tar", mended)
	a.scan(testContext(t))
	wantImages(t, s, "example.test/mended:1")
	if len(a.broken) != 2 {
		t.Errorf("broken: %v, want the text and the nameless one", a.broken)
	}
}

func TestRemovedImageIsImportedAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newArchives(t, s)
	ctx := testContext(t)
	data, _ := makeArchive(t, "example.test/app:1", "1")
	drop(t, a, "app.tar", data)
	a.scan(ctx)
	if err := s.client.ImageService().Delete(ctx, "example.test/app:1"); err != nil {
		t.Fatal(err)
	}
	a.scan(ctx)
	wantImages(t, s, "example.test/app:1")
}

func TestRemovedArchiveLeavesItsImagesToTheCollector(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newArchives(t, s)
	ctx := testContext(t)
	data, _ := makeArchive(t, "example.test/app:1", "1")
	drop(t, a, "app.tar", data)
	a.scan(ctx)
	if err := os.Remove(filepath.Join(a.dir, "app.tar")); err != nil {
		t.Fatal(err)
	}
	a.scan(ctx)
	img, err := s.client.ImageService().Get(ctx, "example.test/app:1")
	if err != nil || img.Labels[pinnedLabel] == pinned {
		t.Fatalf("labels %v, %v; want the image there and not pinned", img.Labels, err)
	}
	record, err := os.ReadFile(a.record)
	var known map[string]imported
	if err := errors.Join(err, json.Unmarshal(record, &known)); err != nil || len(known) != 0 {
		t.Fatalf("recorded %v, %v; want nothing", known, err)
	}
}

func TestYoungArchiveIsLeftForTheNextLook(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newArchives(t, s)
	data, _ := makeArchive(t, "example.test/app:1", "1")
	drop(t, a, "app.tar", data)
	just := a.now()
	if err := os.Chtimes(filepath.Join(a.dir, "app.tar"), just, just); err != nil {
		t.Fatal(err)
	}
	if !a.scan(testContext(t)) || s.loads != 0 {
		t.Fatalf("an archive that is being written was imported (%d imports)", s.loads)
	}
	a.now = func() time.Time { return just.Add(young) }
	if a.scan(testContext(t)) || s.loads != 1 {
		t.Fatalf("%d imports once it has settled, want 1", s.loads)
	}
}

func TestUnreadableRecordCostsOnlyTime(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := newArchives(t, s)
	data, _ := makeArchive(t, "example.test/app:1", "1")
	drop(t, a, "app.tar", data)
	if err := os.WriteFile(a.record, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.read(); err == nil {
		t.Fatal("a record that is cut off was read")
	}
	a.scan(testContext(t))
	wantImages(t, s, "example.test/app:1")
}

func TestArchiveIsImportedWhileRunning(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	i := newImporter(t, s, makeEmbedded(t))
	start(t, i)
	data, digest := makeArchive(t, "example.test/late:1", "late")
	err := poll.Until(t.Context(), 20*time.Second, func(context.Context) error {
		_, err := os.Stat(i.dir)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.dir, "late.tar"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	err = poll.Until(testContext(t), 20*time.Second, func(ctx context.Context) error {
		have, err := s.digests(ctx)
		if err == nil && have["example.test/late:1"] != digest {
			err = fmt.Errorf("the store has %v", have)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFullReference(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"v1":                  "",
		"alpine:3":            "docker.io/library/alpine:3",
		"example.test/app":    "example.test/app:latest",
		"localhost:5000/a:v1": "localhost:5000/a:v1",
		"not//valid":          "",
	} {
		if got := fullReference(name); got != want {
			t.Errorf("fullReference(%q) is %q, want %q", name, got, want)
		}
	}
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, err := z.Write(data)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zstandard(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(data, nil)
}
