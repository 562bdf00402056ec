package migrate

import (
	"bytes"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Compare says how a copy differs from what was copied, nil if it holds the
// same keys with the same values, revisions and leases, and is not behind.
func Compare(original, copied Data) error {
	if copied.Revision < original.Revision {
		return fmt.Errorf("the copy is at revision %d, before the original's %d", copied.Revision, original.Revision)
	}
	if len(copied.Keys) != len(original.Keys) {
		return fmt.Errorf("the copy has %d keys, the original %d", len(copied.Keys), len(original.Keys))
	}
	for i, a := range original.Keys {
		if b := copied.Keys[i]; !same(a, b) {
			return fmt.Errorf("key %q of the copy differs from the original's %q, or its value or revision does", b.Key, a.Key)
		}
	}
	return nil
}

func same(a, b *mvccpb.KeyValue) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && a.ModRevision == b.ModRevision && a.CreateRevision == b.CreateRevision && a.Lease == b.Lease
}
