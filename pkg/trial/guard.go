package trial

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/log"
)

// Guard is the trial of this process. A nil one is that of a process that is on
// none. It is safe for concurrent use.
type Guard struct {
	store  Store
	record Record
	now    func() time.Time

	mu      sync.Mutex
	ready   bool
	pending func() string
}

// Follow has pending say what the process waits for.
func (g *Guard) Follow(pending func() string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = pending
}

// Ready ends the trial: the process is what it should be. It says whether this
// version is the machine's from now on, which it is not when it was given up before.
func (g *Guard) Ready(ctx context.Context) bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ready {
		return true
	}
	if err := g.store.promote(g.record, g.now()); err != nil {
		log.G(ctx).WithError(err).WithField("version", g.record.To).Error("this version is ready, and was not put in its place")
		g.note("it became ready, and could not be put in its place: " + err.Error())
		return false
	}
	g.ready = true
	log.G(ctx).WithField("version", g.record.To).WithField("from", g.record.From).Info("the upgrade is done")
	return true
}

// Failed notes why the process ends, for whoever reads why the trial has failed.
func (g *Guard) Failed(err error) {
	if g == nil || err == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ready {
		g.note(err.Error())
	}
}

func (g *Guard) note(text string) {
	const longest = 2000
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	_ = g.store.change(g.record.ID, func(r *Record) { r.LastError = text }) // the log has it, too
}

// Watch gives the trial up when the process has not become ready in time, and
// calls restart, which has the old program start. Stop ends the watch.
func (g *Guard) Watch(ctx context.Context, restart func()) (stop func()) {
	if g == nil {
		return func() {}
	}
	timer := time.AfterFunc(g.record.Timeout, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.ready || ctx.Err() != nil {
			return
		}
		reason := fmt.Sprintf("it was not ready after %s", g.record.Timeout)
		if g.pending != nil {
			reason += ", and waited for " + g.pending()
		}
		if err := g.store.Abandon(g.record.ID, reason); err != nil && !errors.Is(err, ErrOver) {
			log.G(ctx).WithError(err).Error("the upgrade cannot be given up")
			return
		}
		log.G(ctx).WithField("version", g.record.To).WithField("reason", reason).Error("the upgrade is given up, and the version before it starts")
		restart()
	})
	return func() { timer.Stop() }
}
