package kine

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// marker is written beside the database when it has been opened once. An
// empty database next to it has lost its content.
const marker = "initialised"

// LostError says that the database is missing, cut short or damaged.
type LostError struct {
	File   string
	Reason string
}

// Error names the file and what is wrong with it.
func (e *LostError) Error() string { return fmt.Sprintf("database %s %s", e.File, e.Reason) }

// Hint says what the user can do.
func (e *LostError) Hint() string {
	return "put the database back from a copy, or remove " + filepath.Dir(e.File) + " to begin with an empty cluster"
}

// check refuses a database that has lost its content, in constant time after
// a clean stop. After a crash SQLite's own check runs over it, as only then
// can the file and its log disagree.
func check(ctx context.Context, file string) error {
	logSize, err := sizeOf(file + "-wal")
	if err != nil {
		return err
	}
	if logSize == 0 {
		return Intact(file)
	}
	return quickCheck(ctx, file)
}

// Intact refuses a database that is cut short or has lost its content, with
// a LostError, and changes nothing. Of one that has a log only SQLite can
// tell, when it is opened: that passes.
func Intact(file string) error {
	size, err := sizeOf(file)
	if err != nil {
		return err
	}
	logSize, err := sizeOf(file + "-wal")
	if err != nil || logSize > 0 {
		return err
	}
	if size == 0 {
		_, err := os.Stat(markerOf(file))
		if err == nil {
			return &LostError{File: file, Reason: "is empty, but it held a cluster before"}
		}
		return nil
	}
	return checkHeader(file, size)
}

// checkHeader compares the file's size with the one in its header.
func checkHeader(file string, size int64) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer f.Close()
	header := make([]byte, 100)
	if _, err := io.ReadFull(f, header); err != nil {
		return &LostError{File: file, Reason: fmt.Sprintf("is cut short: it has %d bytes", size)}
	}
	if string(header[:16]) != "SQLite format 3\x00" {
		return &LostError{File: file, Reason: "is not an SQLite database"}
	}
	// https://www.sqlite.org/fileformat.html#the_database_header
	pageSize := int64(binary.BigEndian.Uint16(header[16:18]))
	if pageSize == 1 {
		pageSize = 65536
	}
	if want := pageSize * int64(binary.BigEndian.Uint32(header[28:32])); size < want {
		return &LostError{File: file, Reason: fmt.Sprintf("is cut short: it has %d bytes of %d", size, want)}
	}
	return nil
}

// quickCheck lets SQLite merge the log and read every page once.
func quickCheck(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // 1 GiB takes about two seconds
	defer cancel()
	db, err := sql.Open(driver(), file)
	if err != nil {
		return fmt.Errorf("open database %s: %w", file, err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return &LostError{File: file, Reason: "is damaged: " + err.Error()}
	}
	if verdict != "ok" {
		return &LostError{File: file, Reason: "is damaged: " + verdict}
	}
	return nil
}

// driver is the one that kine brings.
func driver() string {
	name := "sqlite3" // with cgo
	if !slices.Contains(sql.Drivers(), name) {
		name = "sqlite" // and without
	}
	return name
}

func markInitialised(file string) error {
	path := markerOf(file)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	content := []byte("This database has held a cluster: kelp refuses to start when it is found empty.\n")
	if err := atomicfile.Write(path, content, 0o600); err != nil {
		return fmt.Errorf("mark database as initialised: %w", err)
	}
	return nil
}

func markerOf(file string) string { return filepath.Join(filepath.Dir(file), marker) }

// sizeOf returns the size of a file, 0 when there is none.
func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look at database: %w", err)
	}
	return info.Size(), nil
}
