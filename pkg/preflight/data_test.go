package preflight

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/version"
)

func dataDir(t *testing.T) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "kelp")
	cfg.Node.Name = "main"
	return cfg
}

func TestVersions(t *testing.T) {
	t.Parallel()
	now := Stamp{Version: "v1.37.2+kelp2", Kubernetes: "v1.37.2"}
	for content, want := range map[string]struct {
		level Level
		text  string
	}{
		`{"version":"v1.37.2+kelp2","kubernetes":"v1.37.2"}`: {Good, "written by kelp v1.37.2+kelp2"},
		`{"version":"v1.36.9+kelp1","kubernetes":"v1.36.9"}`: {Good, "written by kelp v1.36.9+kelp1"},
		`{"version":"v1.37.3+kelp1","kubernetes":"v1.37.3"}`: {Warning, "newer kelp v1.37.3+kelp1"},
		`{"version":"v1.38.0+kelp1","kubernetes":"v1.38.0"}`: {Error, "newer kelp v1.38.0+kelp1"},
		`{"version":"v2.0.0","kubernetes":"v2.0.0"}`:         {Error, "newer kelp v2.0.0"},
		`{"version":"v99.0.0"}`:                              {Error, "newer kelp v99.0.0"},
		`{"version":"dev","kubernetes":"unknown"}`:           {Warning, "cannot be compared"},
		`{"version":`: {Error, "unexpected end of JSON input"},
	} {
		path := filepath.Join(t.TempDir(), "version.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		found := checkVersion(path, now)
		if got := texts(found, want.level); len(found) != 1 || !strings.Contains(got, want.text) {
			t.Errorf("%s: got %+v, want %s: %s", content, found, want.level, want.text)
		}
	}
}

// What was set aside is told of until it is removed.
func TestDamagedContainerdIsToldOf(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "containerd-damaged")
	if found := checkDamaged(dir); len(found) != 0 {
		t.Errorf("without one: %+v", found)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if found := checkDamaged(dir); len(found) != 1 || !strings.Contains(texts(found, Warning), "rm -r "+dir) {
		t.Errorf("with one: %+v", found)
	}
}

func TestWriteVersionIsGoodToRead(t *testing.T) {
	t.Parallel()
	cfg := dataDir(t)
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteVersion(cfg); err != nil {
		t.Fatal(err)
	}
	found := checkVersion(cfg.Paths().VersionFile, Stamp{Version: version.Version, Kubernetes: "v1.37.2"})
	if texts(found, Error) != "" {
		t.Errorf("got %+v", found)
	}
}

func TestOneKelpPerDataDirectory(t *testing.T) {
	t.Parallel()
	cfg := dataDir(t)
	if pid, err := holderOf(cfg.DataDir); pid != 0 || err != nil {
		t.Errorf("a directory that is not there is held by %d, %v", pid, err)
	}
	lock, err := Acquire(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := holderOf(cfg.DataDir); pid != os.Getpid() || err != nil {
		t.Errorf("held by %d, %v; want this process, %d", pid, err, os.Getpid())
	}
	if _, err := Acquire(cfg); err == nil || !strings.Contains(err.Error(), "kelp is running already on "+cfg.DataDir) {
		t.Errorf("got %v", err)
	}
	lock.Release()
	again, err := Acquire(cfg)
	if err != nil {
		t.Fatalf("after it was let go: %v", err)
	}
	again.Release()
}

// database is the first page of a database of so many pages of 4096 bytes.
func database(pages uint32) []byte {
	page := make([]byte, 4096)
	copy(page, "SQLite format 3\x00")
	binary.BigEndian.PutUint16(page[16:], 4096)
	binary.BigEndian.PutUint32(page[28:], pages)
	return page
}

func TestDatabaseThatIsCutShort(t *testing.T) {
	t.Parallel()
	whole := append(database(3), bytes.Repeat([]byte{1}, 8192)...)
	for name, c := range map[string]struct {
		content []byte
		change  func(*config.Config)
		want    string
	}{
		"missing":     {},
		"whole":       {content: whole},
		"cut short":   {content: whole[:10000], want: "state.db is cut short: it has 10000 bytes of 12288: put the database back from a copy"},
		"no database": {content: bytes.Repeat([]byte("x"), 4096), want: "is not an SQLite database"},
		"not in use":  {content: whole[:10000], change: func(c *config.Config) { c.Datastore.Kind = config.DatastoreEtcd }},
	} {
		cfg := dataDir(t)
		if c.change != nil {
			c.change(&cfg)
		}
		if c.content != nil {
			file := cfg.Paths().SQLiteFile
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := texts(checkDatabase(cfg), Error); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestClockBeforeTheAuthorities(t *testing.T) {
	t.Parallel()
	cfg := dataDir(t)
	if got := texts(checkCertificates(cfg, time.Now()), Error); got != "" {
		t.Errorf("a new data directory: %s", got)
	}
	if err := pki.New(cfg).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := texts(checkCertificates(cfg, time.Now()), Error); got != "" {
		t.Errorf("right after they were made: %s", got)
	}
	before := time.Now().AddDate(-1, 0, 0)
	if got := texts(checkCertificates(cfg, before), Error); !strings.Contains(got, "clock") {
		t.Errorf("a year before they were made: %q", got)
	}
}

func TestClockThatNobodyHasSet(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		now, made time.Time
		want      string
	}{
		"no clock of its own":    {time.Unix(40, 0), made, "the clock says 1970-01-01, and this kelp was made on 2026-11-27"},
		"two days before":        {made.AddDate(0, 0, -2), made, "certificates would have ended"},
		"where clocks differ":    {made.Add(-time.Hour), made, ""},
		"a year later":           {made.AddDate(1, 0, 0), made, ""},
		"made nobody knows when": {time.Unix(40, 0), time.Time{}, ""},
	} {
		if got := texts(checkClockSet(c.now, c.made), Error); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRunChangesNothing(t *testing.T) {
	t.Parallel()
	cfg := dataDir(t)
	if _, err := Run(cfg, Server); err != nil {
		t.Logf("this machine: %v", err) // a port may be taken
	}
	if _, err := os.Stat(cfg.DataDir); !os.IsNotExist(err) {
		t.Errorf("the data directory was made: %v", err)
	}
}
