package datastore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/snapshot"
	"github.com/kelp-project/kelp/pkg/internal/records"
)

// scribble writes, changes and deletes at random until ctx ends.
func scribble(ctx context.Context, client *clientv3.Client, random *rand.Rand, done func()) error {
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("/registry/things/%d", random.IntN(300))
		value := bytes.Repeat([]byte{byte(random.Uint32())}, random.IntN(4000))
		if i%100 == 0 {
			value = bytes.Repeat([]byte{byte(i)}, 1_400_000) // the largest that there are
		}
		res, err := client.Get(ctx, key)
		if err == nil {
			at, op := int64(0), clientv3.OpPut(key, string(value))
			if len(res.Kvs) > 0 {
				at = res.Kvs[0].ModRevision
			}
			if at != 0 && random.IntN(4) == 0 {
				op = clientv3.OpDelete(key)
			}
			_, err = client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", at)).Then(op).Else(clientv3.OpGet(key)).Commit()
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if i == 500 {
			done()
		}
	}
	return nil
}

// take has a datastore of the kind written to, and snapshots it meanwhile; it
// returns what the datastore held at the snapshot's revision.
func take(t *testing.T, m machine, d *Datastore, file string, compress bool) (*snapshot.Snapshot, map[string]string) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	want := map[string]string{}
	if err := d.With(t.Context(), func(ctx context.Context, client *clientv3.Client) error {
		if err := fill(ctx, client); err != nil {
			return err
		}
		writing, stop := context.WithCancel(ctx)
		defer stop()
		warm, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- scribble(writing, client, rand.New(rand.NewPCG(seed, 0)), func() { close(warm) })
		}()
		<-warm
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		sum, err := snapshot.Write(ctx, f, compress, snapshot.Metadata{Cluster: "c", Node: m.cfg.Node.Name, Reason: "test", Created: time.Now()}, []byte("sealed"), d.Source(client, false))
		stop()
		if err := errors.Join(err, f.Close(), <-ended); err != nil {
			return err
		}
		res, err := client.Get(ctx, "/", clientv3.WithRange(clientv3.GetPrefixRangeEnd("/")), clientv3.WithRev(sum.Revision))
		if err != nil {
			return err
		}
		for _, kv := range res.Kvs {
			if string(kv.Key) != "/registry/health" {
				want[string(kv.Key)] = string(kv.Value)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if s.Summary.Keys != len(want) || string(s.Sealed) != "sealed" || s.Node != "one" {
		t.Errorf("the snapshot has %d keys, want %d, and %+v", s.Summary.Keys, len(want), s.Metadata)
	}
	return s, want
}

// What is written to either datastore, at random, is in a snapshot that is taken
// meanwhile, and in both kinds that it is restored into, with its revisions; later
// revisions are beyond all that have been, and watches from before are told.
func TestSnapshotAndRestore(t *testing.T) {
	t.Parallel()
	for _, from := range []config.DatastoreKind{config.DatastoreSQLite, config.DatastoreEtcd} {
		t.Run("from "+string(from), func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			d := newSQLite(m.paths)
			if from == config.DatastoreEtcd {
				d = newEtcd(m.in, m.paths)
			}
			s, want := take(t, m, d, filepath.Join(t.TempDir(), "snapshot"), from == config.DatastoreEtcd)
			for _, into := range []config.DatastoreKind{config.DatastoreSQLite, config.DatastoreEtcd} {
				restoreInto(t, into, s, want)
			}
		})
	}
}

func restoreInto(t *testing.T, kind config.DatastoreKind, s *snapshot.Snapshot, want map[string]string) {
	t.Helper()
	m := newMachine(t)
	b := builder{kind: kind, paths: m.paths, member: m.in}
	if err := b.build(t.Context(), Content{Revision: s.Revision, Keys: s.Keys()}); err != nil {
		t.Fatalf("into %s: %v", kind, err)
	}
	d := newSQLite(m.paths)
	if kind == config.DatastoreEtcd {
		d = newEtcd(m.in, m.paths)
	}
	if err := d.With(t.Context(), func(ctx context.Context, client *clientv3.Client) error {
		got, err := records.Read(ctx, d.Source(client, false))
		if err != nil {
			return err
		}
		if len(got.Keys) != len(want) {
			t.Errorf("%s has %d keys, want %d", kind, len(got.Keys), len(want))
		}
		for _, kv := range got.Keys {
			if value, ok := want[string(kv.Key)]; !ok || value != string(kv.Value) {
				t.Errorf("%s: key %s has another value", kind, kv.Key)
			}
		}
		res, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision("/registry/new"), "=", 0)).Then(clientv3.OpPut("/registry/new", "")).Commit()
		if err != nil || !res.Succeeded || res.Header.Revision <= s.Revision+beyond {
			t.Errorf("%s: the next write: %+v, %v", kind, res, err)
		}
		watch, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if w := <-client.Watch(watch, "/registry", clientv3.WithPrefix(), clientv3.WithRev(s.Revision)); w.CompactRevision == 0 {
			t.Errorf("%s: a watch from before the restore goes on as if nothing had been: %+v", kind, w)
		}
		key := string(got.Keys[len(got.Keys)-1].Key)
		at := got.Keys[len(got.Keys)-1].ModRevision
		change, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", at)).Then(clientv3.OpPut(key, "changed")).Else(clientv3.OpGet(key)).Commit()
		if err != nil || !change.Succeeded {
			t.Errorf("%s: what was restored cannot be changed: %+v, %v", kind, change, err)
		}
		return nil
	}); err != nil {
		t.Fatalf("into %s: %v", kind, err)
	}
}

// A member that is made anew is another one, of another cluster: those who knew the
// former one would overwrite what was restored, with what they hold.
func TestRestoredMemberIsAnother(t *testing.T) {
	t.Parallel()
	m, content := newMachine(t), records.Data{Keys: keys("/a")}
	clusters, members := map[uint64]bool{}, map[uint64]bool{}
	for range 2 {
		b := builder{kind: config.DatastoreEtcd, paths: m.paths, member: m.in}
		if err := b.build(t.Context(), Content{Revision: 7, Keys: content.All()}); err != nil {
			t.Fatal(err)
		}
		if err := newEtcd(m.in, m.paths).With(t.Context(), func(ctx context.Context, client *clientv3.Client) error {
			list, err := client.MemberList(ctx)
			if err != nil {
				return err
			}
			clusters[list.Header.ClusterId], members[list.Members[0].ID] = true, true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(clusters) != 2 || len(members) != 2 {
		t.Errorf("two restores at one address made clusters %v and members %v", clusters, members)
	}
}

// Files that are not whole are refused, whatever is wrong with them.
func TestBrokenSnapshots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, compress := range []bool{true, false} {
		m := newMachine(t)
		file := filepath.Join(dir, fmt.Sprint("whole-", compress))
		d := newSQLite(m.paths)
		take(t, m, d, file, compress)
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		breaks := map[string][]byte{"empty": {}, "a word": []byte("snapshot"), "half": whole[:len(whole)/2], "cut by some": whole[:len(whole)-1600]}
		for i := range 60 { // a bit anywhere
			flipped := bytes.Clone(whole)
			at := i * (len(whole) - 2000) / 60
			flipped[at] ^= 4
			breaks[fmt.Sprint("flipped at ", at)] = flipped
		}
		for name, content := range breaks {
			broken := filepath.Join(dir, "broken")
			if err := os.WriteFile(broken, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if s, err := snapshot.Open(broken); err == nil && !same(t, s, file) {
				t.Errorf("compressed %v, %s: it is taken for whole", compress, name)
			}
		}
	}
}

// same says whether a file that was damaged where nothing is, in tar's padding,
// holds the same as the whole one.
func same(t *testing.T, s *snapshot.Snapshot, file string) bool {
	t.Helper()
	whole, err := snapshot.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	return s.Summary == whole.Summary && reflect.DeepEqual(s.Metadata, whole.Metadata) && bytes.Equal(s.Sealed, whole.Sealed)
}

// A swap that was killed between any two renames is completed by the next start.
func TestSwapIsCompleted(t *testing.T) {
	t.Parallel()
	for killedAfter := range 4 {
		cfg := config.Default()
		cfg.DataDir = t.TempDir()
		paths := cfg.Paths()
		for dir, text := range map[string]string{paths.SQLite: "old", built(paths.Etcd): "new"} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "data"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := swap{Renames: []rename{{paths.SQLite, paths.SQLite + ".kept"}, {built(paths.Etcd), paths.Etcd}}}
		if killedAfter > 0 {
			if err := s.write(paths.Swap); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range s.Renames[:max(killedAfter-1, 0)] {
			if err := os.Rename(r.From, r.To); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second time there is nothing to do
			if err := FinishSwap(paths); err != nil {
				t.Fatal(err)
			}
		}
		swapped := killedAfter > 0
		old, _ := os.ReadFile(filepath.Join(paths.SQLite+".kept", "data"))
		now, _ := os.ReadFile(filepath.Join(paths.Etcd, "data"))
		if (string(old) == "old") != swapped || (string(now) == "new") != swapped {
			t.Errorf("killed after %d steps: old %q, new %q", killedAfter, old, now)
		}
	}
}
