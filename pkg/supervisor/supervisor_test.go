package supervisor

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// recorder notes what happens in which order.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *recorder) index(event string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Index(r.events, event)
}

func (r *recorder) component(name string, after ...string) Component {
	return Component{Name: name, After: after, Run: func(ctx context.Context) error {
		r.note("start " + name)
		<-ctx.Done()
		r.note("stop " + name)
		return nil
	}}
}

func run(t *testing.T, components []Component, until func(Snapshot) bool) (*Supervisor, error) {
	t.Helper()
	s, err := New(components, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	seen := poll.Until(t.Context(), 10*time.Second, func(context.Context) error {
		if !until(s.Snapshot()) {
			return errors.New("not as wanted yet")
		}
		return nil
	})
	if seen != nil {
		t.Fatalf("%v: %+v", seen, s.Snapshot())
	}
	cancel()
	select {
	case err := <-result:
		return s, err
	case <-time.After(stopTotal + 5*time.Second):
		t.Fatal("Run did not return")
		return nil, nil
	}
}

func TestNewRefusesWhatCannotStart(t *testing.T) {
	t.Parallel()
	idle := func(context.Context) error { return nil }
	for name, c := range map[string]struct {
		components []Component
		want       string
	}{
		"unknown": {[]Component{{Name: "a", Run: idle, After: []string{"b"}}}, `component "a" waits for "b", which does not exist`},
		"twice":   {[]Component{{Name: "a", Run: idle}, {Name: "a", Run: idle}}, `two components are named "a"`},
		"loop":    {[]Component{{Name: "a", Run: idle, After: []string{"b"}}, {Name: "b", Run: idle, After: []string{"a"}}}, "a → b → a"},
		"no run":  {[]Component{{Name: "a"}}, `component "a" has nothing to run`},
	} {
		if _, err := New(c.components, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestStartsInOrderAndStopsInReverse(t *testing.T) {
	t.Parallel()
	var r recorder
	components := []Component{r.component("c", "b"), r.component("b", "a"), r.component("a"), Skipped("d", "not here")}
	for i, c := range components[:3] {
		// Without a probe it is ready when it is about to run, and may note that later.
		components[i].Ready = func(context.Context) error {
			if r.index("start "+c.Name) < 0 {
				return errors.New("not started")
			}
			return nil
		}
	}
	s, err := run(t, components, Snapshot.Ready)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"start a", "start b", "start c", "stop c", "stop b", "stop a"}
	if !slices.Equal(r.events, want) {
		t.Errorf("got %v, want %v", r.events, want)
	}
	for _, c := range s.Snapshot().Components {
		if want := map[string]State{"d": Skipping}[c.Name]; c.State != Stopped && c.State != want {
			t.Errorf("%s is %s after the stop", c.Name, c.State)
		}
	}
}

func TestWaitsForReadyNotForRun(t *testing.T) {
	t.Parallel()
	var r recorder
	var ready atomic.Bool
	slow := r.component("slow")
	slow.Ready = func(context.Context) error {
		if !ready.Load() {
			return errors.New("warming up")
		}
		return nil
	}
	go func() {
		for r.index("start slow") < 0 {
			runtime.Gosched()
		}
		r.note("let go")
		ready.Store(true)
	}()
	if _, err := run(t, []Component{slow, r.component("next", "slow")}, Snapshot.Ready); err != nil {
		t.Fatal(err)
	}
	if r.index("start next") < r.index("let go") {
		t.Errorf("next started before slow was ready: %v", r.events)
	}
}

func TestAStepMakesReadyByEnding(t *testing.T) {
	t.Parallel()
	var r recorder
	step := Component{Name: "step", Once: true, Run: func(context.Context) error { r.note("step"); return nil }}
	s, err := run(t, []Component{r.component("next", "step"), step}, Snapshot.Ready)
	if err != nil || r.index("step") != 0 || r.index("start next") != 1 {
		t.Fatalf("%v %v %+v", err, r.events, s.Snapshot())
	}
}

func TestFirstFailureStopsTheRest(t *testing.T) {
	t.Parallel()
	boom := errors.New("disk full")
	for name, fail := range map[string]func(context.Context) error{
		"error": func(context.Context) error { return boom },
		"nil":   func(context.Context) error { return nil },
		"panic": func(context.Context) error { panic("index out of range") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r recorder
			s, err := New([]Component{r.component("base"), {Name: "bad", After: []string{"base"}, Run: fail}}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Run(t.Context())
			want := map[string]string{"error": "bad: disk full", "nil": "bad: ended by itself", "panic": "bad: panic: index out of range"}[name]
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
			if r.index("stop base") < 0 {
				t.Error("base was not stopped")
			}
			if st := s.Snapshot().Components[1]; st.State != Failed || st.LastError == "" {
				t.Errorf("bad is %+v", st)
			}
		})
	}
}

func TestWhatNeverStartedIsNotRunByAStop(t *testing.T) {
	t.Parallel()
	var r recorder
	stuck := r.component("stuck")
	stuck.Ready = func(context.Context) error { return errors.New("no") }
	s, err := run(t, []Component{stuck, r.component("next", "stuck")}, func(s Snapshot) bool { return s.Components[0].LastError == "no" })
	if err != nil {
		t.Fatal(err)
	}
	if r.index("start next") >= 0 {
		t.Error("next was started by the stop")
	}
	if got := s.Snapshot().Pending(); got != "stuck, next" {
		t.Errorf("pending after the stop: %q", got)
	}
}

func TestChangedSeesEveryState(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[State]bool{}
	s, err := New([]Component{
		{Name: "one", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }},
		{Name: "two", After: []string{"one"}, Once: true, Run: func(context.Context) error { return nil }},
	}, Options{Changed: func(snap Snapshot) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range snap.Components {
			seen[c.State] = true
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_ = poll.Forever(ctx, func(context.Context) error {
			if s.Snapshot().Ready() {
				cancel()
			}
			return errors.New("go on")
		})
	}()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for _, want := range []State{Waiting, Starting, Ready, Stopping, Stopped} {
		if !seen[want] {
			t.Errorf("no call of Changed saw %q", want)
		}
	}
}

func TestOrderIsReadable(t *testing.T) {
	t.Parallel()
	idle := func(context.Context) error { return nil }
	got, err := Order([]Component{{Name: "b", Run: idle, After: []string{"a"}}, {Name: "a", Run: idle, Once: true}, Skipped("c", "single node")})
	want := "0 a (once)\n0 c (skipped: single node)\n1 b ← a\n"
	if err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}
