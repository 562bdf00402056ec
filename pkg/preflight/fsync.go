package preflight

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/config"
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
)

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
	defer unix.Close(fd)
	var s Syncs
	block := make([]byte, fsyncSize)
	for began := time.Now(); len(s.Took) < fsyncTries && time.Since(began) < fsyncLimit; {
		at := time.Now()
		_, err := unix.Write(fd, block)
		if err = errors.Join(err, unix.Fdatasync(fd)); err != nil {
			return Syncs{Err: fmt.Errorf("write to %s: %w", dir, err)}
		}
		s.Took = append(s.Took, time.Since(at))
	}
	return s
}

func checkSyncs(cfg config.Config, s Syncs) []Finding {
	const check = "disk speed"
	if errors.Is(s.Err, unix.EOPNOTSUPP) || errors.Is(s.Err, unix.EISDIR) {
		return nil // a file system without files that have no name: it is not measured
	}
	if s.Err != nil {
		return []Finding{warning(check, fmt.Sprintf("how fast the disk of %s is cannot be measured: %v", cfg.DataDir, s.Err), "see what the disk says in dmesg")}
	}
	// Of so few writes, one that something else on the disk has delayed says nothing.
	slow, median := s.quantile(0.95), s.quantile(0.5)
	text := fmt.Sprintf("a write to the disk of %s is safe after %s, and 95 of 100 are after %s",
		cfg.DataDir, median.Round(10*time.Microsecond), slow.Round(10*time.Microsecond))
	if slow > fsyncGoal {
		return []Finding{warning(check, fmt.Sprintf("%s; the datastore needs %s", text, fsyncGoal), "use an SSD for --data-dir, or see what else writes to the disk, with iostat -x 1")}
	}
	return []Finding{good(check, text)}
}
