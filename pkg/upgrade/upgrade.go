package upgrade

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/snapshots"
	"github.com/kelp-project/kelp/pkg/trial"
	"github.com/kelp-project/kelp/pkg/version"
)

// DefaultTimeout is how long a new version may take to be ready.
const DefaultTimeout = 5 * time.Minute

// Request is what is asked for.
type Request struct {
	Source    string        // a file, or a URL
	SHA256    string        // that the program must have; empty for what stands beside it
	PublicKey string        // a file with the key that must have signed it; empty for any
	Version   string        // that it must be; empty for any
	For       string        // who asks for it, if not somebody on this machine
	Timeout   time.Duration // that a start may take to be ready
}

// Upgrade replaces the kelp that runs on this machine.
type Upgrade struct {
	Running Running
	Config  config.Config // of the kelp that runs
	// Tell is called with each thing that is done, for people.
	Tell func(string)
	// Restart has a kelp that is no service start anew.
	Restart func(context.Context) error
	// Client fetches what is at a URL; nil for one of the machine's own.
	Client *http.Client

	members func(context.Context) ([]Member, error) // nil for the cluster's
	ready   bool                                    // whether the candidate stays when Prepare ends
}

// SameError says that the version that is asked for runs already.
type SameError struct{ Version string }

// Error says so.
func (e *SameError) Error() string { return "kelp " + e.Version + " runs already: nothing to do" }

func (u *Upgrade) store() trial.Store { return trial.Store{Dir: u.Config.Paths().Upgrade} }

// Prepare does all that can fail: it fetches the program, looks whether it may
// run, makes a snapshot, and has the new program rehearse its start. From then on
// the next start of kelp is the new program's, on trial. When it fails it has
// changed nothing.
func (u *Upgrade) Prepare(ctx context.Context, r Request) (trial.Record, error) {
	if err := u.may(); err != nil {
		return trial.Record{}, err
	}
	unlock, err := u.lock()
	if err != nil {
		return trial.Record{}, err
	}
	defer unlock()
	candidate := trial.Candidate(u.Running.Program)
	defer func() {
		if !u.ready {
			_ = os.Remove(candidate) // the error that is returned says more
		}
	}()
	to, err := u.Stage(ctx, r, candidate)
	if err != nil {
		return trial.Record{}, err
	}
	record := trial.Record{
		ID: rand.Text(), From: u.Running.Version, To: to.Kelp, Program: u.Running.Program, Candidate: candidate,
		Timeout: r.Timeout, Began: time.Now().UTC(), For: r.For,
	}
	saved, err := u.rehearse(ctx, candidate, to.Version)
	if err == nil {
		record.Snapshot = saved
		err = u.store().Begin(record)
	}
	if err != nil {
		if saved != "" {
			err = errors.Join(err, snapshots.Dir(u.Config.SnapshotDir()).Delete(saved))
		}
		return trial.Record{}, err
	}
	u.ready = true
	return record, nil
}

// may refuses what cannot be upgraded, whatever to.
func (u *Upgrade) may() error {
	found, there, err := u.store().Read()
	switch {
	case err != nil:
		return err
	case there:
		return fmt.Errorf("the upgrade to kelp %s is on trial since %s: wait for its end, or end it with kelp upgrade --rollback", found.To, found.Began.Local().Format(time.TimeOnly))
	case strings.HasPrefix(u.Running.Program, "/usr/bin/"):
		return fmt.Errorf("%s was installed by a package: upgrade that, with apt-get or dnf", u.Running.Program)
	}
	// What can be linked can be renamed: a program that is a mount point cannot.
	probe := u.Running.Program + ".probe"
	_ = os.Remove(probe) // of a run that was killed
	if err := os.Link(u.Running.Program, probe); err != nil {
		return fmt.Errorf("the program %s cannot be replaced: %w", u.Running.Program, err)
	}
	if err := os.Remove(probe); err != nil {
		return fmt.Errorf("remove a file that was made to see whether that can be done: %w", err)
	}
	return nil
}

// lock keeps two upgrades of one machine apart. The kernel lets go of it when the
// process ends.
func (u *Upgrade) lock() (unlock func(), err error) {
	dir := u.Config.Paths().Upgrade
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of upgrades: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock upgrades: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.New("another upgrade of this machine is under way: wait for its end")
		}
		return nil, fmt.Errorf("lock upgrades: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// Program is a program that was looked at.
type Program struct {
	Version
	SHA256 string
	Named  bool // the source named the program, and not a directory with one for each architecture
}

// Stage puts the program at a path, and looks whether this machine, with its cluster, may
// run it.
func (u *Upgrade) Stage(ctx context.Context, r Request, path string) (p Program, err error) {
	s, err := parseSource(r.Source, runtime.GOARCH)
	if err != nil {
		return p, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	if u.Client == nil {
		u.Client = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
		defer u.Client.CloseIdleConnections()
	}
	p.Named = s.named
	if p.SHA256, err = u.fetch(ctx, s, r, path); err != nil {
		return p, err
	}
	if err := checkMachine(path, s.String()); err != nil {
		return p, err
	}
	if p.Version, err = versionOf(ctx, path, s.String()); err != nil {
		return p, err
	}
	switch {
	case r.Version != "" && p.Kelp != r.Version:
		return p, fmt.Errorf("%s is kelp %s, and %s is asked for", s, p.Kelp, r.Version)
	case p.Kelp == u.Running.Version:
		return p, &SameError{p.Kelp}
	}
	u.Tell(fmt.Sprintf("kelp %s is to become %s", u.Running.Version, p.Kelp))
	others, err := u.others(ctx)
	if err != nil {
		return p, err
	}
	// The program of this command may be another one than that which runs.
	from, err := versionOf(ctx, fmt.Sprintf("/proc/%d/exe", u.Running.PID), u.Running.Program)
	if err != nil {
		from = Version{Kelp: version.Version, Kubernetes: version.KubernetesVersion}
	}
	return p, allowed(from, p.Version, u.Running.Role == "server", others)
}

// fetch puts what is at the source at a path, and returns its SHA-256.
func (u *Upgrade) fetch(ctx context.Context, s source, r Request, path string) (sum string, err error) {
	want, err := wanted(ctx, u.Client, s, r.SHA256)
	if err != nil {
		return "", err
	}
	body, size, err := s.open(ctx, u.Client)
	if err != nil {
		return "", err
	}
	defer body.Close()
	if err := room(u.Config, filepath.Dir(path), size, u.Running.Role == "server"); err != nil {
		return "", err
	}
	got, err := copyTo(path, body, size)
	if err != nil {
		return "", err
	}
	if want != "" && got != want {
		return "", fmt.Errorf("%s has the SHA-256 checksum %s and should have %s: it is damaged, or not the file that the checksum is of", s, got, want)
	}
	if r.PublicKey == "" {
		return got, nil
	}
	signature, err := s.beside(".sig").text(ctx, u.Client)
	if err != nil {
		return "", fmt.Errorf("the program's signature: %w", err)
	}
	return got, signed(r.PublicKey, signature, got)
}
