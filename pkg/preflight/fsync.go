package preflight

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
)

const (
	// fsyncGoal is what etcd's authors want 99 of 100 writes of its log to take
	// at most. SQLite waits for the same.
	fsyncGoal = 10 * time.Millisecond
	// fsyncTries and fsyncLimit bound the measurement: a disk that is good
	// enough is through after 100 ms, a bad one is known after a second.
	fsyncTries = 60
	fsyncLimit = time.Second
	// fsyncSize is about a record of etcd's log.
	fsyncSize = 2300
	// fsyncStall is how long a write may take before the disk is said to hang: etcd
	// gives its requests up after as much.
	fsyncStall = 5 * time.Second
)

// errStalled is why there are no times of a disk that takes a write and does not
// come back.
var errStalled = errors.New("the disk hangs")

// Syncs are how long writes to the disk took, each until it was safe.
type Syncs struct {
	Took []time.Duration
	Err  error // why nothing was measured
}

// quantile is what that share of the writes took at most.
func (s Syncs) quantile(share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s.Took))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// observeSyncs writes to a file without a name in dir, which vanishes however
// the process ends.
func observeSyncs(dir string) Syncs {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return Syncs{Err: os.NewSyscallError("open", err)}
	}
	block := make([]byte, fsyncSize)
	return timeSyncs(func() error {
		_, err := unix.Write(fd, block)
		if err = errors.Join(err, unix.Fdatasync(fd)); err != nil {
			return fmt.Errorf("write to %s: %w", dir, err)
		}
		return nil
	}, func() { _ = unix.Close(fd) }, fsyncLimit+fsyncStall)
}

// timeSyncs calls sync again and again, and end after the last one. Nothing ends a
// call that hangs: it is left behind at the bound.
func timeSyncs(sync func() error, end func(), bound time.Duration) Syncs {
	done := make(chan Syncs, 1)
	go func() {
		defer end()
		var s Syncs
		for began := time.Now(); len(s.Took) < fsyncTries && time.Since(began) < fsyncLimit; {
			at := time.Now()
			if err := sync(); err != nil {
				done <- Syncs{Err: err}
				return
			}
			s.Took = append(s.Took, time.Since(at))
		}
		done <- s
	}()
	select {
	case s := <-done:
		return s
	case <-time.After(bound):
		return Syncs{Err: errStalled}
	}
}

// waitedFor is the directory whose disk others wait for: the datastore's, which may
// be on a disk of its own, and where there is none the data directory.
func waitedFor(cfg config.Config, role Role) string {
	switch kind := datastore.Kind(cfg); {
	case role == Server && kind == config.DatastoreSQLite:
		return cfg.Paths().SQLite
	case role == Server && kind == config.DatastoreEtcd:
		return cfg.Paths().Etcd
	}
	return cfg.DataDir
}

func checkSyncs(dir string, s Syncs) []Finding {
	const check = "disk speed"
	if errors.Is(s.Err, unix.EOPNOTSUPP) || errors.Is(s.Err, unix.EISDIR) {
		return nil // a file system without files that have no name: it is not measured
	}
	if errors.Is(s.Err, errStalled) {
		return []Finding{failure(check, fmt.Sprintf("a write to the disk of %s is not safe after %s: the disk hangs", dir, fsyncStall), "see what it says in dmesg, and whether the storage behind it is there")}
	}
	if s.Err != nil {
		return []Finding{warning(check, fmt.Sprintf("how fast the disk of %s is cannot be measured: %v", dir, s.Err), "see what the disk says in dmesg")}
	}
	// Of so few writes, one that something else on the disk has delayed says nothing.
	slow, median := s.quantile(0.95), s.quantile(0.5)
	text := fmt.Sprintf("a write to the disk of %s is safe after %s, and 95 of 100 are after %s",
		dir, median.Round(10*time.Microsecond), slow.Round(10*time.Microsecond))
	if slow > fsyncGoal {
		return []Finding{warning(check, fmt.Sprintf("%s; the datastore needs %s", text, fsyncGoal), "use an SSD for it, or see what else writes to the disk, with iostat -x 1")}
	}
	return []Finding{good(check, text)}
}
