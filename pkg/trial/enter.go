package trial

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/program"
)

// variable tells a candidate that it was started as one: it holds the trial's ID.
const variable = "KELP_ON_TRIAL"

// Entered is what Enter has found.
type Entered struct {
	Guard *Guard   // nil, unless this process is on trial
	Ended *Outcome // of a trial that this start has ended
	// Err is why a trial cannot be told of. Kelp runs all the same.
	Err error
}

// Log tells of it, as soon as there is a log.
func (e Entered) Log(ctx context.Context) {
	switch {
	case e.Err != nil:
		log.G(ctx).WithError(e.Err).Error("whether an upgrade is on trial is not known")
	case e.Ended != nil && !e.Ended.Succeeded:
		log.G(ctx).WithField("version", e.Ended.To).WithField("reason", e.Ended.Reason).Error("an upgrade was given up, and the version before it runs")
	case e.Guard != nil:
		log.G(ctx).WithField("version", e.Guard.record.To).WithField("attempt", e.Guard.record.Starts).Info("this version is on trial")
	}
}

// machine is what Enter needs of the process and the machine.
type machine struct {
	exec func(path string, args, env []string) error // returns only with an error
	self func() (string, error)
	now  func() time.Time
}

// Enter is the first thing that a start does, before anything is opened. Where
// an upgrade is on trial it executes the new program in place of this one, and
// does not return. The version is this program's.
func Enter(dir, version string) Entered {
	return enter(Store{dir}, version, machine{exec: syscall.Exec, self: program.Path, now: time.Now})
}

func enter(s Store, version string, m machine) Entered {
	id, started := os.LookupEnv(variable)
	_ = os.Unsetenv(variable) // nobody else's business; it cannot fail for this name
	r, there, err := s.Read()
	if errors.Is(err, fs.ErrPermission) {
		return Entered{} // not root, who is refused
	}
	if err != nil {
		return Entered{Err: err}
	}
	if there && started && id == r.ID && r.Abandoned == "" {
		return Entered{Guard: &Guard{store: s, record: r, now: m.now}}
	}
	switch what, why := decide(r, there, seen{version, exists(r.Candidate)}); what {
	case try:
		return s.try(r, m)
	case finish:
		o, err := s.end(r, "", m.now())
		return Entered{Ended: &o, Err: err}
	case back:
		return s.back(r, why, m)
	}
	return Entered{}
}

// try counts a start of the candidate, and executes it.
func (s Store) try(r Record, m machine) Entered {
	err := s.change(r.ID, func(r *Record) { r.Starts++ })
	if err == nil {
		err = m.exec(r.Candidate, os.Args, append(os.Environ(), variable+"="+r.ID))
	}
	return s.back(r, fmt.Sprintf("the new program cannot be executed: %v", err), m)
}

// back ends a trial and has the old program go on. A candidate that started
// itself anew is not that one.
func (s Store) back(r Record, why string, m machine) Entered {
	o, err := s.end(r, why, m.now())
	if self, selfErr := m.self(); err == nil && selfErr == nil && self != r.Program && exists(r.Program) {
		err = fmt.Errorf("execute %s: %w", r.Program, m.exec(r.Program, os.Args, os.Environ()))
	}
	return Entered{Ended: &o, Err: err}
}

// end notes how a trial has ended: well, or for a reason not. Stopped anywhere,
// the next start does it again.
func (s Store) end(r Record, why string, now time.Time) (Outcome, error) {
	o := Outcome{ID: r.ID, From: r.From, To: r.To, Succeeded: why == "", Reason: why, Began: r.Began, Ended: now.UTC(), Snapshot: r.Snapshot, For: r.For}
	err := write(s.outcome(), o)
	if err == nil && why != "" {
		err = remove(r.Candidate)
	}
	if err == nil {
		err = remove(s.record())
	}
	return o, err
}

// change changes the record of the trial of that ID.
func (s Store) change(id string, how func(*Record)) error {
	return s.alone(func() error {
		r, there, err := s.Read()
		if err != nil {
			return err
		}
		if !there || r.ID != id {
			return ErrOver
		}
		how(&r)
		return write(s.record(), r)
	})
}

// promote has the candidate take the program's name, and the program that of the
// previous one. There is a program of that name at any moment.
func (s Store) promote(r Record, now time.Time) error {
	return s.alone(func() error {
		found, there, err := s.Read()
		switch {
		case err != nil:
			return err
		case !there || found.ID != r.ID || found.Abandoned != "":
			return ErrOver
		}
		kept := r.Program + ".keep"
		if err := errors.Join(remove(kept), os.Link(r.Program, kept)); err != nil {
			return fmt.Errorf("keep the previous program: %w", err)
		}
		if err := os.Rename(kept, Previous(r.Program)); err != nil {
			return fmt.Errorf("keep the previous program: %w", err)
		}
		// Where both were links to one file already, the rename has done nothing.
		if err := remove(kept); err != nil {
			return err
		}
		if err := os.Rename(r.Candidate, r.Program); err != nil {
			return fmt.Errorf("put the new program in its place: %w", err)
		}
		if err := atomicfile.SyncDir(filepath.Dir(r.Program)); err != nil {
			return err
		}
		_, err = s.end(r, "", now)
		return err
	})
}
