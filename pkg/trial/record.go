package trial

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// Record is an upgrade that is on trial.
type Record struct {
	ID        string        `json:"id"` // tells it from every other one
	From      string        `json:"from"`
	To        string        `json:"to"`
	Program   string        `json:"program"`   // the path of the program, which is the old one until the new one is ready
	Candidate string        `json:"candidate"` // the path of the new one until then
	Timeout   time.Duration `json:"timeout"`   // how long one start may take to be ready
	Began     time.Time     `json:"began"`
	Snapshot  string        `json:"snapshot,omitempty"` // what was saved before it
	For       string        `json:"for,omitempty"`      // who has asked for it, if not somebody on this machine
	Starts    int           `json:"starts"`             // of the new one so far
	LastError string        `json:"lastError,omitempty"`
	// Abandoned is why it is over; the next start is the old one's.
	Abandoned string `json:"abandoned,omitempty"`
}

// Outcome is how the last trial has ended.
type Outcome struct {
	ID        string    `json:"id"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Succeeded bool      `json:"succeeded"`
	Reason    string    `json:"reason,omitempty"` // why it did not
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended"`
	Snapshot  string    `json:"snapshot,omitempty"`
	For       string    `json:"for,omitempty"`
}

// Previous is where the program is kept that a new one has replaced.
func Previous(program string) string { return program + ".previous" }

// Candidate is where a new program is until it has become ready.
func Candidate(program string) string { return program + ".next" }

// ErrOver is returned for a trial that has ended.
var ErrOver = errors.New("no upgrade is on trial")

// Store is a directory with what is known of upgrades.
type Store struct{ Dir string }

func (s Store) record() string  { return filepath.Join(s.Dir, "trial.json") }
func (s Store) outcome() string { return filepath.Join(s.Dir, "last.json") }

// Read returns the trial that is under way; there is false without one.
func (s Store) Read() (r Record, there bool, err error) {
	there, err = read(s.record(), &r)
	return r, there, err
}

// Last returns how the last trial has ended; there is false before the first one.
func (s Store) Last() (o Outcome, there bool, err error) {
	there, err = read(s.outcome(), &o)
	return o, there, err
}

// Begin has the next start be the candidate's.
func (s Store) Begin(r Record) error {
	return s.alone(func() error {
		found, there, err := s.Read()
		switch {
		case err != nil:
			return err
		case there:
			return fmt.Errorf("the upgrade to kelp %s is on trial already", found.To)
		}
		return write(s.record(), r)
	})
}

// Abandon ends the trial of that ID: the next start is the old program's. The
// first reason stays. It returns ErrOver where the trial has ended, or the new
// program has taken its place.
func (s Store) Abandon(id, reason string) error {
	return s.alone(func() error {
		r, there, err := s.Read()
		switch {
		case err != nil:
			return err
		case !there || r.ID != id || !exists(r.Candidate):
			return ErrOver
		case r.Abandoned != "":
			return nil
		}
		r.Abandoned = reason
		return write(s.record(), r)
	})
}

// alone has no other process change the store meanwhile. What is done in it takes
// milliseconds, so it waits.
func (s Store) alone(do func() error) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of upgrades: %w", err)
	}
	dir, err := os.Open(s.Dir)
	if err != nil {
		return fmt.Errorf("open the directory of upgrades: %w", err)
	}
	defer dir.Close() // and let go of the lock
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock the directory of upgrades: %w", err)
	}
	return do()
}

func read(path string, into any) (there bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read what is known of an upgrade, %s: %w", path, err)
	}
	return true, nil
}

func write(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("note the upgrade: %w", err)
	}
	return atomicfile.Write(path, append(text, '\n'), 0o600)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// remove removes a file that may be gone already, for good.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}
