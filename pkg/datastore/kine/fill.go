package kine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// compactKey is kine's own row: its previous revision is the one up to which old
// values are gone.
const compactKey = "compact_rev_key"

// Fill makes a new database that holds the keys, and is at the revision, which
// none of theirs exceeds. Who watched from before it is told to list anew. The
// lease of a key is its number of seconds.
func Fill(ctx context.Context, o Options, revision int64, keys iter.Seq2[*mvccpb.KeyValue, error]) error {
	s := New(o)
	if err := prepare(o); err != nil {
		return err
	}
	l, err := s.listen(ctx) // kine makes its tables
	if err != nil {
		return fmt.Errorf("make database %s: %w", o.File, err)
	}
	l.stop()
	db, err := sql.Open(driver(), "file:"+o.File+"?_journal_mode=WAL&_synchronous=FULL")
	if err != nil {
		return fmt.Errorf("open database %s: %w", o.File, err)
	}
	if err = errors.Join(insertAll(ctx, db, revision, keys), db.Close()); err != nil {
		return fmt.Errorf("fill database %s: %w", o.File, err)
	}
	return markInitialised(o.File)
}

func insertAll(ctx context.Context, db *sql.DB, revision int64, keys iter.Seq2[*mvccpb.KeyValue, error]) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // which does nothing after a commit
	if _, err := tx.ExecContext(ctx, "DELETE FROM kine"); err != nil {
		return fmt.Errorf("clear what kine makes for itself: %w", err)
	}
	insert, err := tx.PrepareContext(ctx, "INSERT INTO kine (id, name, created, deleted, create_revision, prev_revision, lease, value, old_value) VALUES (?, ?, ?, 0, ?, ?, ?, ?, NULL)")
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	defer insert.Close()
	for kv, err := range keys {
		if err != nil {
			return err
		}
		if kv.ModRevision > revision {
			return fmt.Errorf("key %q has revision %d, beyond %d", kv.Key, kv.ModRevision, revision)
		}
		// The row of an object's first revision names no other one. That of a
		// later one names the first as its predecessor: it is nobody else's.
		created, before := 1, int64(0)
		if kv.CreateRevision != kv.ModRevision {
			created, before = 0, kv.CreateRevision
		}
		if _, err := insert.ExecContext(ctx, kv.ModRevision, string(kv.Key), created, before, before, kv.Lease, kv.Value); err != nil {
			return fmt.Errorf("write key %q with revision %d: %w", kv.Key, kv.ModRevision, err)
		}
	}
	if _, err := insert.ExecContext(ctx, revision+1, compactKey, 1, 0, revision+1, 0, []byte{}); err != nil {
		return fmt.Errorf("write the revision: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
