package supervisortest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

const (
	// readyLimit is far above what any component takes on an idle machine.
	readyLimit = 30 * time.Second
	// stopLimit is the supervisor's deadline for one component.
	stopLimit = 5 * time.Second
	// leakLimit is how long goroutines may take to end after Run returned.
	leakLimit = 2 * time.Second
)

// Options change what Check asks of a component.
type Options struct {
	// RunsOnce says why the component works only once per process. Empty: it
	// is run a second time.
	RunsOnce string
	// Leaves are beginnings of functions' names whose goroutines upstream
	// leaves behind by design, one per process.
	Leaves []string
}

// Check runs c as the supervisor would, alone, and fails t when c does not
// become ready, does not stop in time, ends with an error, or leaves a
// goroutine behind. Tests that run beside it would be taken for leaks: no
// t.Parallel.
func Check(t testing.TB, c supervisor.Component, opts Options) {
	t.Helper()
	c.After = nil
	runs := 2
	if opts.RunsOnce != "" {
		runs = 1
	}
	for run := range runs {
		before := goroutines()
		if err := once(t.Context(), c); err != nil {
			t.Errorf("run %d of %s: %v", run+1, c.Name, err)
			return
		}
		left := ""
		err := poll.Until(t.Context(), leakLimit, func(context.Context) error {
			left = leaked(before, goroutines(), opts.Leaves)
			if left != "" {
				return errors.New("goroutines still run")
			}
			return nil
		})
		if err != nil {
			t.Errorf("run %d of %s left goroutines behind, which outlive the component and hold what it held:\n%s", run+1, c.Name, left)
			return
		}
	}
}

// once runs c until it is ready and stops it.
func once(ctx context.Context, c supervisor.Component) error {
	s, err := supervisor.New([]supervisor.Component{c}, supervisor.Options{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	status := func() supervisor.Status { return s.Snapshot().Components[0] }
	err = poll.Until(ctx, readyLimit, func(context.Context) error {
		switch st := status(); st.State {
		case supervisor.Ready, supervisor.Failed:
			return nil
		default:
			return fmt.Errorf("%s: %s", st.State, st.LastError)
		}
	})
	cancel()
	told := time.Now()
	if late := <-ended; late != nil {
		return late
	}
	if err != nil {
		return fmt.Errorf("not ready %w", err)
	}
	if took := time.Since(told); took > stopLimit {
		return fmt.Errorf("stopped after %s, and the supervisor waits %s", took.Round(time.Millisecond), stopLimit)
	}
	return nil
}

// goroutines returns the stacks of all goroutines by their first line's
// number.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := map[string]string{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		id, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		all[id] = stack
	}
	return all
}

// leaked joins the stacks that are in after and not in before, apart from
// those with a function that begins with one of leaves.
func leaked(before, after map[string]string, leaves []string) string {
	var left []string
	for id, stack := range after {
		_, old := before[id]
		expected := slices.ContainsFunc(leaves, func(l string) bool {
			return strings.Contains(stack, "\n"+l) || strings.Contains(stack, "created by "+l)
		})
		if !old && !expected {
			left = append(left, stack)
		}
	}
	slices.Sort(left)
	return strings.Join(left, "\n\n")
}
