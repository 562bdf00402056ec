package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// trial is what is noted of one.
type trial struct {
	Until time.Time `json:"until"`
	// Before says whether there was a file before. It is the previous one then.
	Before bool `json:"before"`
}

// step is what has to be done about a trial.
type step string

const (
	nothing step = "nothing" // there is none
	wait    step = "wait"
	revert  step = "revert"
)

// decide says what to do about a trial at a time, and how long until there is
// more to do.
func decide(t trial, there bool, now time.Time) (step, time.Duration) {
	switch {
	case !there:
		return nothing, 0
	case now.Before(t.Until):
		return wait, t.Until.Sub(now)
	}
	return revert, 0
}

// trials are the files of a configuration file's trials.
type trials struct{ file string }

func (t trials) note() string     { return t.file + ".trial" }
func (t trials) previous() string { return t.file + ".previous" }
func (t trials) reverted() string { return t.file + ".reverted" }

// read returns the trial that is under way.
func (t trials) read() (found trial, there bool, err error) {
	text, err := os.ReadFile(t.note())
	if errors.Is(err, fs.ErrNotExist) {
		return trial{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	if err != nil {
		return trial{}, false, fmt.Errorf("read the note of a trial, %s: %w", t.note(), err)
	}
	return found, true, nil
}

// timer fires when a trial is over, and not before a time.
func (t trials) timer(now, notBefore time.Time) (over <-chan time.Time, cancel func()) {
	found, there, err := t.read()
	if err != nil {
		return nil, func() {} // whoever looks at the state is told
	}
	what, left := decide(found, there, now)
	if what == nothing {
		return nil, func() {}
	}
	timer := time.NewTimer(max(left, notBefore.Sub(now)))
	return timer.C, func() { timer.Stop() }
}

// replace writes the file, and keeps what it was. With a time it is a trial until
// then, which is noted before: from there on the file becomes what it was,
// whatever happens.
func (t trials) replace(data []byte, until time.Time) error {
	before, err := os.ReadFile(t.file)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fmt.Errorf("keep the previous configuration: %w", err)
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(t.file); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(t.file), 0o755); err != nil {
		return fmt.Errorf("make the configuration's directory: %w", err)
	}
	if !missing {
		if err := atomicfile.Write(t.previous(), before, mode); err != nil {
			return err
		}
	}
	if !until.IsZero() {
		text, err := json.Marshal(trial{Until: until, Before: !missing})
		if err != nil {
			return fmt.Errorf("note the trial: %w", err)
		}
		if err := atomicfile.Write(t.note(), text, 0o600); err != nil {
			return err
		}
	}
	return atomicfile.Write(t.file, data, mode)
}

// undo makes the file what it was before the trial. Each step may be done again,
// for the note is removed last.
func (t trials) undo(found trial) error {
	tried, err := os.ReadFile(t.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep what was on trial: %w", err)
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(t.file); err == nil {
		mode = info.Mode().Perm()
	}
	var before []byte
	if found.Before {
		if before, err = os.ReadFile(t.previous()); err != nil {
			return fmt.Errorf("read the configuration before the trial: %w", err)
		}
	}
	if tried != nil && string(tried) != string(before) {
		if err := atomicfile.Write(t.reverted(), tried, mode); err != nil {
			return err
		}
	}
	if found.Before {
		err = atomicfile.Write(t.file, before, mode)
	} else {
		err = remove(t.file)
	}
	if err != nil {
		return err
	}
	return t.confirm()
}

// confirm ends the trial and keeps the file.
func (t trials) confirm() error { return remove(t.note()) }

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// Settle undoes a trial whose time is over, before a start reads the file. It
// returns the path of what was on trial, empty when there was nothing to undo.
func Settle(file string, now time.Time) (reverted string, err error) {
	t := trials{file}
	found, there, err := t.read()
	if err != nil {
		return "", err
	}
	if what, _ := decide(found, there, now); what != revert {
		return "", nil
	}
	return t.reverted(), t.undo(found)
}

// Replace writes the configuration file of a kelp that does not run, and keeps
// what it was.
func Replace(file string, data []byte) error {
	t := trials{file}
	if found, there, err := t.read(); err != nil {
		return err
	} else if there {
		return fmt.Errorf("the configuration is on trial until %s: confirm it or wait", found.Until.Format(time.TimeOnly))
	}
	return t.replace(data, time.Time{})
}
