package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

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

// CompareWith reads the source and says how it differs from the keys.
func CompareWith(ctx context.Context, from Source, revision int64, keys Keys) error {
	next, stop := iter.Pull2(keys)
	defer stop()
	var at int64
	if err := Pages(ctx, from, func(now int64, page []*mvccpb.KeyValue) error {
		at = now
		for _, b := range page {
			a, err, more := next()
			switch {
			case err != nil:
				return err
			case !more:
				return fmt.Errorf("there is a key %q too many", b.Key)
			case !same(a, b):
				return fmt.Errorf("where key %q was expected there is %q, or its value or revision is another one", a.Key, b.Key)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if a, err, more := next(); err != nil || more {
		return errors.Join(err, fmt.Errorf("key %q is missing", a.GetKey()))
	}
	if at < revision {
		return fmt.Errorf("it is at revision %d, before %d", at, revision)
	}
	return nil
}

func same(a, b *mvccpb.KeyValue) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && a.ModRevision == b.ModRevision && a.CreateRevision == b.CreateRevision && a.Lease == b.Lease
}
