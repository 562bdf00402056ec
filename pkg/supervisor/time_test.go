package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The tests of this file run in a bubble with a clock of its own: what takes
// seconds for a supervisor takes none here, and a goroutine that is left
// behind fails the test.

// begin runs components in the bubble and returns what ends them.
func begin(t *testing.T, components []Component, opts Options) (s *Supervisor, stop func() error) {
	t.Helper()
	s, err := New(components, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, func() error { cancel(); return <-ended }
}

func state(s *Supervisor, name string) Status {
	all := s.Snapshot().Components
	return all[slices.IndexFunc(all, func(c Status) bool { return c.Name == name })]
}

// after lets the bubble's time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func untilDone(ctx context.Context) error { <-ctx.Done(); return nil }

func TestReadyAndDegradedFollowTheProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		var probes atomic.Int32
		s, stop := begin(t, []Component{{Name: "a", Run: untilDone, Ready: func(context.Context) error {
			if probes.Add(1) < 4 || broken.Load() {
				return errors.New("disk is slow")
			}
			return nil
		}}}, Options{})
		after(120 * time.Millisecond)
		if st := state(s, "a"); st.State != Starting || st.LastError != "disk is slow" {
			t.Errorf("before it is ready: %+v", st)
		}
		after(80 * time.Millisecond)
		if st := state(s, "a"); st.State != Ready || st.ReadyAfter != 0.15 || st.LastError != "" {
			t.Errorf("want ready at the fourth probe, 150 ms after the start: %+v", st)
		}
		broken.Store(true)
		after(4 * time.Second)
		if st := state(s, "a"); st.State != Ready || probes.Load() != 4 {
			t.Errorf("probed again within 5 s: %+v after %d probes", st, probes.Load())
		}
		after(time.Second)
		if st := state(s, "a"); st.State != Degraded || st.LastError != "disk is slow" || st.Lapses != 1 {
			t.Errorf("after a failed probe: %+v", st)
		}
		broken.Store(false)
		after(5 * time.Second)
		if st := state(s, "a"); st.State != Ready || st.LastError != "" || st.ReadyAfter != 0.15 {
			t.Errorf("after it came back: %+v", st)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAProbeThatHangsOrPanicsIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, stop := begin(t, []Component{
			{Name: "hangs", Run: untilDone, Ready: untilDoneWithError},
			{Name: "panics", Run: untilDone, Ready: func(context.Context) error { panic("nil map") }},
		}, Options{})
		after(probeTimeout + time.Second)
		for name, want := range map[string]string{"hangs": "context deadline exceeded", "panics": "panic: nil map"} {
			if st := state(s, name); st.State != Starting || !strings.HasPrefix(st.LastError, want) {
				t.Errorf("%s: %+v", name, st)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func untilDoneWithError(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestOverrunnerIsNamedAndTheRestStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		var base atomic.Bool
		s, stop := begin(t, []Component{
			{Name: "base", Run: func(ctx context.Context) error { <-ctx.Done(); base.Store(true); return nil }},
			{Name: "stubborn", After: []string{"base"}, Run: func(context.Context) error { <-let; return nil }},
		}, Options{})
		after(time.Second)
		began := time.Now()
		err := stop()
		if err == nil || !strings.HasSuffix(err.Error(), "still running 5s after the stop: stubborn") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != stopDeadline {
			t.Errorf("took %s, want the deadline of the one", took)
		}
		if !base.Load() || state(s, "base").State != Stopped || state(s, "stubborn").State != Stopping {
			t.Errorf("%+v", s.Snapshot())
		}
		close(let) // the bubble wants all goroutines to end
	})
}

func TestAllOfTheStopIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		stubborn := func(context.Context) error { <-let; return nil }
		_, stop := begin(t, []Component{
			{Name: "a", Run: stubborn}, {Name: "b", Run: stubborn, After: []string{"a"}}, {Name: "c", Run: stubborn, After: []string{"b"}},
		}, Options{})
		after(time.Second)
		began := time.Now()
		if err := stop(); err == nil || !strings.HasSuffix(err.Error(), "after the stop: a, b, c") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("stopping took %s", took)
		}
		close(let)
	})
}

func TestWaitersSayWhomTheyWaitForAndTheLineGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		var b atomic.Bool
		s, stop := begin(t, []Component{
			{Name: "a", Run: untilDone},
			{Name: "b", Run: untilDone, Ready: func(context.Context) error {
				if !b.Load() {
					return errors.New("not yet")
				}
				return nil
			}},
			{Name: "c", After: []string{"a", "b"}, Run: untilDone},
			Skipped("d", "single node"),
		}, Options{Changed: func(snap Snapshot) { lines = append(lines, snap.Line(time.Now())) }})
		after(3*time.Second + time.Millisecond)
		if st := state(s, "c"); !slices.Equal(st.WaitingFor, []string{"b"}) {
			t.Errorf("c waits for %v", st.WaitingFor)
		}
		for _, want := range []string{"waiting for b (1 s)", "waiting for b (2 s)", "waiting for b (3 s)"} {
			if !slices.Contains(lines, want) {
				t.Errorf("%q is not among %q", want, lines)
			}
		}
		b.Store(true)
		after(2 * time.Second)
		if !slices.Contains(lines, "ready: 4 components, after 3.0 s") || s.Snapshot().ReadyAfter == 0 {
			t.Errorf("got %q", lines)
		}
		told := len(lines)
		after(time.Minute)
		if len(lines) != told {
			t.Errorf("told again though nothing changed: %q", lines[told:])
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestIndependentOnesStartSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		step := func(context.Context) error {
			most.Store(max(most.Load(), running.Add(1)))
			<-time.After(time.Second)
			running.Add(-1)
			return nil
		}
		s, stop := begin(t, []Component{{Name: "a", Once: true, Run: step}, {Name: "b", Once: true, Run: step}, {Name: "c", Once: true, After: []string{"a", "b"}, Run: step}}, Options{})
		<-time.After(2500 * time.Millisecond)
		synctest.Wait()
		if !s.Snapshot().Ready() || most.Load() != 2 {
			t.Errorf("%d ran side by side: %+v", most.Load(), s.Snapshot())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTheFirstErrorWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failing := func(after time.Duration, text string) func(context.Context) error {
			return func(ctx context.Context) error {
				select {
				case <-time.After(after):
				case <-ctx.Done():
					<-time.After(time.Second)
				}
				return errors.New(text)
			}
		}
		s, err := New([]Component{{Name: "late", Run: failing(time.Hour, "collateral")}, {Name: "early", Run: failing(time.Second, "cause")}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); err == nil || err.Error() != "early: cause" {
			t.Errorf("got %v", err)
		}
		if st := state(s, "late"); st.State != Failed || st.LastError != "collateral" {
			t.Errorf("late is %+v", st)
		}
	})
}

func TestStopLetsGoInReverseAlsoOfADiamond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		slow := func(name string, takes time.Duration, after ...string) Component {
			return Component{Name: name, After: after, Run: func(ctx context.Context) error {
				<-ctx.Done()
				<-time.After(takes)
				r.note(name)
				return nil
			}}
		}
		_, stop := begin(t, []Component{slow("base", 0), slow("left", time.Second, "base"), slow("right", 2*time.Second, "base"), slow("top", time.Second, "left", "right")}, Options{})
		after(time.Second)
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if want := []string{"top", "left", "right", "base"}; !slices.Equal(r.events, want) {
			t.Errorf("stopped %v, want %v", r.events, want)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %s: left and right do not depend on each other", took)
		}
	})
}

func TestAliveWhileProbesReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var stuck atomic.Bool
		s, stop := begin(t, []Component{
			{Name: "down", Run: untilDone, Ready: func(context.Context) error { return errors.New("a disk is away") }},
			{Name: "deaf", Run: untilDone, Ready: func(context.Context) error {
				if stuck.Load() {
					<-hold // whatever its context says
				}
				return nil
			}},
		}, Options{})
		after(time.Hour)
		if !s.Alive() {
			t.Error("a component that is not ready makes the process count as stuck")
		}
		stuck.Store(true)
		after(watchInterval + stuckAfter - time.Second)
		if !s.Alive() {
			t.Error("a slow probe makes the process count as stuck")
		}
		after(2*time.Second + watchInterval)
		if s.Alive() {
			t.Error("nobody sees that a probe does not return")
		}
		close(hold)
		after(time.Second)
		if !s.Alive() {
			t.Error("still counts as stuck when the probe has returned")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
