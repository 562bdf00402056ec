package migrate

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/kelp-project/kelp/pkg/internal/records"
)

// Member is the first member of the cluster that is made.
type Member struct {
	Name    string
	PeerURL string
	Dir     string // its data, which must not exist or be empty
}

// batch is how many keys are written before they are committed: what is not
// yet is in memory.
const batch = 1000

// Write makes the directory of a member that holds the keys and is at a revision
// beyond the given one, which none of theirs exceeds. The scratch directory has to
// be on a disk with room for the data; what is left there is removed.
func Write(revision int64, keys records.Keys, m Member, scratch string) error {
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return fmt.Errorf("make scratch directory: %w", err)
	}
	file := filepath.Join(scratch, "keys.db")
	if err := os.RemoveAll(file); err != nil {
		return fmt.Errorf("clear scratch directory: %w", err)
	}
	defer os.Remove(file)
	last, err := writeFile(keys, file)
	if err != nil {
		return err
	}
	return snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, SkipHashCheck: true,
		Name: m.Name, OutputDataDir: m.Dir, PeerURLs: []string{m.PeerURL}, InitialCluster: m.Name + "=" + m.PeerURL,
		// Without it the IDs of cluster and member follow from the address, and whoever
		// still runs with what was here before takes this one for the member that it knows.
		InitialClusterToken: rand.Text(),
		// Watches from before are told to list anew.
		RevisionBump: uint64(revision-last) + 1, MarkCompacted: true,
	})
}

// writeFile writes the records of etcd's storage, and returns the highest
// revision among them.
func writeFile(keys records.Keys, file string) (last int64, err error) {
	db := backend.NewDefaultBackend(zap.NewNop(), file)
	tx := db.BatchTx()
	tx.LockOutsideApply()
	tx.UnsafeCreateBucket(schema.Key)
	tx.UnsafeCreateBucket(schema.Lease)
	schema.UnsafeCreateMetaBucket(tx)
	leases, inTransaction := map[int64]bool{}, map[int64]int64{}
	written := 0
	for kv, reading := range keys {
		if err = reading; err != nil {
			break
		}
		if written++; written%batch == 0 {
			tx.Unlock()
			db.ForceCommit()
			tx.LockOutsideApply()
		}
		record := proto.CloneOf(kv)
		record.Version = max(record.Version, 1) // kine counts none
		if err = put(tx, record, inTransaction[kv.ModRevision]); err != nil {
			break
		}
		inTransaction[kv.ModRevision]++
		last = max(last, kv.ModRevision)
		// A lease of kine's is its number of seconds.
		if kv.Lease != 0 && !leases[kv.Lease] {
			leases[kv.Lease] = true
			schema.MustUnsafePutLease(tx, &leasepb.Lease{ID: kv.Lease, TTL: kv.Lease, RemainingTTL: kv.Lease})
		}
	}
	tx.Unlock()
	db.ForceCommit()
	if closing := db.Close(); err == nil && closing != nil {
		err = fmt.Errorf("close %s: %w", file, closing)
	}
	return last, err
}

// put writes one record. The keys of a transaction have one revision, and are
// told apart by their place in it.
func put(tx backend.BatchTx, kv *mvccpb.KeyValue, place int64) error {
	value, err := proto.Marshal(kv)
	if err != nil {
		return fmt.Errorf("encode key %q: %w", kv.Key, err)
	}
	key := mvcc.RevToBytes(mvcc.Revision{Main: kv.ModRevision, Sub: place}, mvcc.NewRevBytes())
	tx.UnsafePut(schema.Key, key, value)
	return nil
}
