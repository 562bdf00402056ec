package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPackIsReproducible(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	for _, name := range []string{"b", "a"} {
		if err := os.WriteFile(filepath.Join(in, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pack := func() (Set, []byte) {
		out := t.TempDir()
		set, err := Pack(in, "s", out)
		if err != nil {
			t.Fatal(err)
		}
		archive, err := os.ReadFile(filepath.Join(out, "s.tar.zst"))
		if err != nil {
			t.Fatal(err)
		}
		return set, archive
	}
	first, archive := pack()
	if err := os.Chtimes(filepath.Join(in, "a"), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	second, again := pack()
	if !bytes.Equal(archive, again) || first.Version() != second.Version() {
		t.Fatal("the same files gave another archive")
	}
	if len(first.Files) != 2 || first.Files[0].Name != "a" || first.Size() != 2 {
		t.Fatalf("got %+v", first)
	}
}

func TestVersionFollowsContent(t *testing.T) {
	t.Parallel()
	a := Set{Files: []File{{Name: "runc", Size: 1, SHA256: "aa"}}}
	b := Set{Files: []File{{Name: "runc", Size: 1, SHA256: "bb"}}}
	if a.Version() == b.Version() {
		t.Fatal("another content has the same version")
	}
}

func TestPackRefusesAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if _, err := Pack(t.TempDir(), "s", out); err == nil {
		t.Fatal("packed nothing")
	}
	if _, err := Read(os.DirFS(out), "s"); err == nil {
		t.Fatal("a set that could not be packed can be read")
	}
}
