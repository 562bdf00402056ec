package kine

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/datastore/storetest"
)

// A disk that lies about what it has written leaves SQLite's log cut short, or with
// something else at its end, when the power goes. The store starts, without anybody's
// help, with what was written up to there: nothing in between is missing, and the next
// writes are taken.
func TestALogThatWasTornAtItsEnd(t *testing.T) {
	dir := shortDir(t)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childDir+"="+dir)
	storetest.KillWhileWriting(t, command, 300)
	whole, err := os.ReadFile(options(dir).File + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	before := -1
	for eighth := range 8 {
		at := len(whole) * (eighth + 1) / 9
		for name, tail := range map[string][]byte{"cut": nil, "noise": make([]byte, 5000)} {
			t.Run(fmt.Sprint(name, " at ", at), func(t *testing.T) {
				_, _ = rand.Read(tail) // never fails: crypto/rand ends the process first
				torn := options(shortDir(t))
				if err := os.CopyFS(filepath.Dir(torn.File), os.DirFS(filepath.Dir(options(dir).File))); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(torn.File+"-wal", append(whole[:at:at], tail...), 0o600); err != nil {
					t.Fatal(err)
				}
				n := survivors(t, torn)
				if n < before {
					t.Errorf("%d writes are left of a longer log, and %d of a shorter one", n, before)
				}
				before = max(before, n)
			})
		}
	}
	if before < 100 {
		t.Errorf("no more than %d writes were left: the log held nothing", before)
	}
}

// survivors counts the writes that a torn database holds, each writer's from the
// first one on, and writes another one.
func survivors(t *testing.T, opts Options) int {
	t.Helper()
	client, _ := start(t, opts)
	res, err := client.Get(t.Context(), "/registry/durable/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, kv := range res.Kvs {
		there[string(kv.Key)] = true
		if string(kv.Value) != "value of "+string(kv.Key) {
			t.Errorf("%s reads %q", kv.Key, kv.Value)
		}
	}
	for key := range there {
		var writer, i int
		if _, err := fmt.Sscanf(strings.TrimPrefix(key, "/registry/durable/"), "%d-%d", &writer, &i); err != nil {
			t.Fatal(err)
		}
		if i > 0 && !there[fmt.Sprintf("/registry/durable/%d-%d", writer, i-1)] {
			t.Errorf("%s is there, and not the one before it", key)
		}
	}
	next, err := client.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision("/next"), "=", 0)).Then(clientv3.OpPut("/next", "x")).Commit()
	if err != nil || !next.Succeeded {
		t.Errorf("the next write: %+v, %v", next, err)
	}
	return len(there)
}
