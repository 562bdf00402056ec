package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Without its data a server must not begin a second cluster of the same name and
// keys, whichever way the data went.
func TestAServerNoticesThatItsDataIsGone(t *testing.T) {
	t.Parallel()
	const keys, peer, joined, emptyEtcd, etcd, sqlite = "keys", "peer", "joined", "empty etcd", "etcd", "sqlite"
	for name, c := range map[string]struct {
		has  []string
		want bool
	}{
		"a new machine":                       {nil, false},
		"authorities that a user brought":     {[]string{keys}, false},
		"a single server without its data":    {[]string{keys}, false},
		"all is there, in etcd":               {[]string{keys, peer, emptyEtcd, etcd}, false},
		"all is there, in SQLite":             {[]string{keys, sqlite}, false},
		"it has just joined":                  {[]string{keys, joined, emptyEtcd}, false},
		"it joined, and etcd's is gone":       {[]string{keys, joined, peer}, true},
		"it began it, and etcd's is gone":     {[]string{keys, peer}, true},
		"it began it, and etcd's was emptied": {[]string{keys, peer, emptyEtcd}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config.Default()
			cfg.DataDir = t.TempDir()
			p := cfg.Paths()
			for _, what := range c.has {
				file := map[string]string{
					keys: pki.AuthorityFiles(p, pki.ServerCA).Key, peer: p.Peers, joined: p.ClusterFile,
					emptyEtcd: filepath.Join(p.Etcd, "x"), etcd: filepath.Join(p.Etcd, "member", "wal", "0.wal"), sqlite: p.SQLiteFile,
				}[what]
				text := map[string]string{peer: `["192.0.2.7"]`, joined: `{"servers":["192.0.2.7:6443"]}`}[what]
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := dataLost(cfg); err != nil || got != c.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
