package process

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/containerd/log"
)

// Restart has the process start anew, once its components have stopped.
type Restart struct {
	asked atomic.Bool
	stop  context.CancelFunc
}

// NewRestart returns one that nobody has asked for, and the context to run a
// supervisor in, which ends with ctx or when somebody does.
func NewRestart(ctx context.Context) (inner context.Context, r *Restart) {
	r = &Restart{}
	inner, r.stop = context.WithCancel(ctx)
	return inner, r
}

// Ask has the components stopped, and the process start anew after that.
func (r *Restart) Ask() {
	r.asked.Store(true)
	r.stop()
}

// Again says whether the process is to start anew after a supervisor ended with err,
// in a context of Setup's. It is when somebody has asked for that and no signal has
// come: upstream's components that are stopped while they start may ask for the end
// of the process, and others may be late, which is logged then.
func (r *Restart) Again(ctx context.Context, err error) (bool, error) {
	r.stop()
	err = errors.Join(err, Cause(ctx))
	if !r.asked.Load() || Stopped(ctx) {
		return false, err
	}
	if err != nil {
		log.G(ctx).WithError(err).Warn("kelp starts anew all the same")
	}
	return true, nil
}
