package pki

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

const (
	// checkInterval is how often Run looks at the certificates. Files that a
	// person changed are noticed within it.
	checkInterval = time.Hour
	// clockInterval is how often it looks at the clock, which costs nothing. A
	// machine that has none of its own begins in the past and is then set a year
	// ahead: all that it has issued has ended at that moment.
	clockInterval = 15 * time.Second
)

// Engine keeps the certificates of the table on disk.
type Engine struct {
	cfg   config.Config
	table []Entry
	now   func() time.Time
	rand  io.Reader
}

// New returns an engine that has looked at nothing yet.
func New(cfg config.Config) *Engine {
	return &Engine{cfg: cfg, table: Table(cfg), now: time.Now, rand: rand.Reader}
}

// Ensure makes what is missing and renews what is due. It does nothing else:
// calling it again changes no file.
func (e *Engine) Ensure(ctx context.Context) error {
	return e.locked(func() error {
		if err := e.complete(); err != nil {
			return err
		}
		found, err := Read(e.table)
		if err != nil {
			return err
		}
		plan, err := Plan(e.table, found, e.now())
		if err != nil {
			return err
		}
		return e.apply(ctx, plan, found)
	})
}

// Run renews certificates when they are due, until ctx ends.
func (e *Engine) Run(ctx context.Context) error { return e.run(ctx, clockInterval) }

func (e *Engine) run(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	// What the clock says, not how much time has passed: it may be set.
	looked := e.now().Round(0)
	due := looked.Add(e.wait())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := e.now().Round(0)
		if now.Before(due) && !now.Before(looked) {
			continue
		}
		if err := e.Ensure(ctx); err != nil {
			// The old certificates still work for months.
			log.G(ctx).WithError(err).Error("certificates were not renewed")
		}
		// From before: a clock that was set in the meantime is seen at the next look.
		looked, due = now, now.Add(e.wait())
	}
}

// Rotate issues leaf certificates anew, with new keys; all of them if no
// names are given. What they replace is kept in a directory that it returns.
func (e *Engine) Rotate(ctx context.Context, names ...string) (backup string, issued []Entry, err error) {
	err = e.locked(func() error {
		if err := e.complete(); err != nil {
			return err
		}
		found, err := Read(e.table)
		if err != nil {
			return err
		}
		var plan []Action
		for _, entry := range e.table {
			if entry.Usage != Authority && (len(names) == 0 || slices.Contains(names, entry.Name)) {
				plan = append(plan, Action{Entry: entry, Reason: "rotated by hand", NewKey: true})
				issued = append(issued, entry)
			}
		}
		if err := e.checkNames(names, found); err != nil {
			return err
		}
		backup = filepath.Join(e.cfg.Paths().CertificateBackups, e.now().UTC().Format("20060102T150405Z"))
		for _, a := range plan {
			if err := backUp(backup, a.Entry); err != nil {
				return err
			}
		}
		return e.apply(ctx, plan, found)
	})
	return backup, issued, err
}

func (e *Engine) checkNames(names []string, found map[string]Found) error {
	var known []string
	for _, entry := range e.table {
		if entry.Usage == Authority {
			if err := usable(entry, found[entry.Name], e.now()); err != nil {
				return err
			}
			continue
		}
		known = append(known, entry.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no certificate %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

func (e *Engine) apply(ctx context.Context, plan []Action, found map[string]Found) error {
	i := &issuer{found: found, now: e.now(), rand: e.rand}
	authorities, leaves := split(plan)
	for _, wave := range [][]Action{authorities, leaves} {
		if err := i.applyAll(wave); err != nil {
			return err
		}
	}
	for _, a := range plan {
		log.G(ctx).WithField("path", a.Entry.Files.Cert).WithField("reason", a.Reason).Debug("issued certificate")
	}
	for _, name := range []string{ServerCA, ClientCA} {
		text := pemChain(found[name].Chain[:1])
		if _, err := atomicfile.WriteIfChanged(SigningFiles(e.cfg.Paths(), name).Cert, text, keyMode); err != nil {
			return err
		}
	}
	private, public := ServiceAccountFiles(e.cfg.Paths())
	if err := ensureServiceAccountKey(private, public, e.rand); err != nil {
		return err
	}
	if len(plan) > 0 {
		log.G(ctx).WithField("count", len(plan)).Info("issued certificates")
	}
	return writeKubeconfigs(e.cfg, e.table, ServerURL(e.cfg))
}

// split parts what signs from what is signed.
func split(plan []Action) (authorities, leaves []Action) {
	for _, a := range plan {
		if a.Entry.Usage == Authority {
			authorities = append(authorities, a)
		} else {
			leaves = append(leaves, a)
		}
	}
	return authorities, leaves
}

// wait is how long until the next certificate is due, at most checkInterval.
func (e *Engine) wait() time.Duration {
	next := checkInterval
	found, err := Read(e.table)
	if err != nil {
		return next
	}
	for _, entry := range e.table {
		f := found[entry.Name]
		if entry.Usage == Authority || f.Chain == nil {
			continue
		}
		// A second past the moment, so that Plan agrees that it has come.
		next = min(next, renewAt(f.Chain[0]).Sub(e.now())+time.Second)
	}
	return max(next, time.Minute)
}

// locked runs do while no other process changes certificates: the command
// `certificate rotate` beside a running server.
func (e *Engine) locked(do func() error) (err error) {
	dir := e.cfg.Paths().TLS
	if err := makePrivateDir(dir); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, keyMode)
	if err != nil {
		return fmt.Errorf("lock certificates: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock certificates: %w", err)
	}
	return do()
}

// backUp copies an entry's files below dir. Links are enough: files are
// replaced and never changed.
func backUp(dir string, e Entry) error {
	if err := makePrivateDir(dir); err != nil {
		return err
	}
	for _, path := range []string{e.Files.Cert, e.Files.Key} {
		err := os.Link(path, filepath.Join(dir, filepath.Base(path)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("back up certificate %s: %w", e.Name, err)
		}
	}
	return nil
}
