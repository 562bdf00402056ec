package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// fixture is a follower of a file of its own, with an applier for the log's level
// and one for labels that can be made to fail.
type fixture struct {
	*Follower
	t    *testing.T
	file string

	mu       sync.Mutex
	levels   []string
	labels   []string
	fail     error
	refuse   error
	restarts int
}

// note adds to what was seen.
func (x *fixture) note(list *[]string, text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	*list = append(*list, text)
}

// make returns a follower as a start would.
func (x *fixture) make() *Follower {
	x.t.Helper()
	load := func(instead *config.Text) (config.Config, config.Origins, error) {
		return config.Load(config.LoadOptions{File: x.file, Instead: instead, Env: []string{"KELP_SNAPSHOT_NAME=by-env"}})
	}
	running, origins, err := load(nil)
	if err != nil {
		x.t.Fatal(err)
	}
	return New(Options{
		Source: Source{File: x.file, Load: load, Origins: origins}, Running: running,
		Appliers: []Applier{
			{"log", []string{"log.level"}, func(_ context.Context, c config.Config) error {
				x.note(&x.levels, string(c.Log.Level))
				return nil
			}},
			{"labels", []string{"node.labels"}, func(_ context.Context, c config.Config) error {
				x.note(&x.labels, fmt.Sprint(c.Node.Labels))
				x.mu.Lock()
				defer x.mu.Unlock()
				return x.fail
			}},
		},
		Check: func(context.Context, config.Config) error { return x.refuse },
		Restart: func() {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.restarts++
		},
	})
}

func (x *fixture) write(text string) {
	x.t.Helper()
	if err := os.WriteFile(x.file, []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			x.t.Errorf("run: %v", err)
		}
	}
	x.t.Cleanup(stop)
	return stop
}

func (x *fixture) eventually(what string, holds func(State) bool) {
	x.t.Helper()
	if err := poll.Until(x.t.Context(), 10*time.Second, func(context.Context) error {
		if s := x.State(); !holds(s) {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	}); err != nil {
		x.t.Fatalf("%s: %v", what, err)
	}
}

func newFixture(t *testing.T, text string) *fixture {
	x := &fixture{t: t, file: filepath.Join(t.TempDir(), "config.yaml")}
	x.write(text)
	x.Follower = x.make()
	return x
}

func TestTakesWhatIsLiveAndNamesTheRest(t *testing.T) {
	t.Parallel()
	x := newFixture(t, "log-level: info\n")
	x.run()
	x.write("log-level: warn\nnode-label: [a=1]\ndebug: true\n")
	x.eventually("taken", func(s State) bool { return len(s.Applied) == 2 && len(s.NeedsRestart) == 1 })
	if line := x.Tell(); line != "needs restart: debug" {
		t.Errorf("status says %q", line)
	}
	x.write("log-level: warn\nnode-label: [a=1]\n")
	x.eventually("the other taken back", func(s State) bool { return len(s.NeedsRestart) == 0 })
	if line := x.Tell(); line != "" {
		t.Errorf("status says %q", line)
	}
	// A drop-in, in a directory that was not there before.
	if err := os.MkdirAll(x.file+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(x.file+".d/a.yaml", []byte("log-level: error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.eventually("the drop-in is taken", func(s State) bool { return len(s.Applied) == 1 && s.Applied[0].New == "error" })
	x.mu.Lock()
	defer x.mu.Unlock()
	if got := fmt.Sprint(x.levels, x.labels); got != "[warn error] [[a=1]]" {
		t.Errorf("applied %s: each once, and only what has changed", got)
	}
}

func TestWhatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"a typo":        {"log-levle: warn\nnode-label: [a=1]\n", `config.yaml:1: unknown key "log-levle"`},
		"a fixed one":   {"node-label: [a=1]\ncluster-domain: other.local\n", `network.clusterDomain is "cluster.local" and can never change`},
		"the component": {"kubelet-arg: [x=1]\nnode-label: [a=1]\n", "kubelet has no x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newFixture(t, "")
			if name == "the component" {
				x.refuse = errors.New("kubelet has no x")
			}
			x.run()
			x.write(c.text)
			x.eventually("refused", func(s State) bool { return strings.Contains(s.Problem, c.want) })
			if line := x.Tell(); !strings.HasPrefix(line, "NOT TAKEN: ") {
				t.Errorf("status says %q", line)
			}
			if _, err := x.Diff(t.Context(), nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("diff says %v", err)
			}
			if _, err := x.Apply(t.Context(), config.Text{Name: "new.yaml", Data: []byte(c.text)}, 0); err == nil || content(t, x.trials.previous()) != "-" {
				t.Errorf("it was put in the place of the file: %v", err)
			}
			x.write("")
			x.eventually("well again", func(s State) bool { return s.Problem == "" })
			if x.labels != nil {
				t.Errorf("labels were applied: %v", x.labels)
			}
		})
	}
}

func TestWhatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	x := newFixture(t, "")
	x.fail = errors.New("the API is away")
	x.run()
	x.write("node-label: [a=1]\n")
	x.eventually("failed", func(s State) bool { return s.Failed["labels"] == "the API is away" })
	if line := x.Tell(); line != "not applied to labels: the API is away" {
		t.Errorf("status says %q", line)
	}
	x.mu.Lock()
	x.fail = nil
	x.mu.Unlock()
	x.wake()
	x.eventually("well again", func(s State) bool { return len(s.Failed) == 0 })
}

func TestDiffIsAgainstWhatRuns(t *testing.T) {
	t.Parallel()
	x := newFixture(t, "debug: true\n")
	x.run()
	changes, err := x.Diff(t.Context(), &config.Text{Name: "new.yaml", Data: []byte("snapshot-name: by-file\nnode-label: [a=1]\n")})
	if got := fmt.Sprint(config.Settings(changes)); err != nil || got != "[debug node.labels]" {
		t.Errorf("%s, %v: what the environment sets stays", got, err)
	}
	if changes, err = x.Diff(t.Context(), nil); err != nil || len(changes) != 0 {
		t.Errorf("the file is what runs, and yet %v, %v", changes, err)
	}
}

func TestApplyOnTrial(t *testing.T) {
	t.Parallel()
	x := newFixture(t, "log-level: info\n")
	x.run()
	text := config.Text{Name: "new.yaml", Data: []byte("log-level: warn\n")}
	for _, bad := range []time.Duration{time.Second, 48 * time.Hour, -time.Minute} {
		if _, err := x.Apply(t.Context(), text, bad); err == nil {
			t.Errorf("a trial of %s was begun", bad)
		}
	}
	s, err := x.Apply(t.Context(), text, time.Hour)
	if err != nil || s.Trial == nil || len(s.Applied) != 1 || content(t, x.file) != "log-level: warn\n" {
		t.Fatalf("%+v, %v", s, err)
	}
	if line := x.Tell(); !strings.HasPrefix(line, "on trial for 1h0m0s more") {
		t.Errorf("status says %q", line)
	}
	if _, err := x.Apply(t.Context(), text, 0); err == nil || !strings.Contains(err.Error(), "on trial until") {
		t.Errorf("applied during a trial: %v", err)
	}
	if err := x.Confirm(t.Context()); err != nil || x.State().Trial != nil {
		t.Errorf("confirm: %v, %+v", err, x.State())
	}
	if err := x.Confirm(t.Context()); err == nil {
		t.Error("confirmed twice")
	}
	// Over before anybody confirms: with the shortest time there is no waiting for
	// it here, so the note is given an earlier end, as a clock that is set would.
	if _, err := x.Apply(t.Context(), config.Text{Data: []byte("log-level: error\n")}, time.Hour); err != nil {
		t.Fatal(err)
	}
	x.end()
	x.eventually("undone", func(s State) bool { return s.Trial == nil && len(s.Applied) == 1 && s.Applied[0].New == "warn" })
	if content(t, x.file) != "log-level: warn\n" || content(t, x.trials.reverted()) != "log-level: error\n" || x.restarts != 0 {
		t.Errorf("file %q, %d restarts", content(t, x.file), x.restarts)
	}
}

// end has the trial's time be over.
func (x *fixture) end() {
	x.t.Helper()
	found, _, err := x.trials.read()
	if err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(x.trials.note(), fmt.Appendf(nil, `{"until":%q,"before":%v}`, time.Now().Format(time.RFC3339Nano), found.Before), 0o600); err != nil {
		x.t.Fatal(err)
	}
	x.wake()
}

// A process that was started in a trial starts anew when it is undone, if it has
// what only a start changes.
func TestTrialOverARestart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text     string
		restarts int
	}{"needs one": {"debug: true\n", 1}, "needs none": {"log-level: warn\n", 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newFixture(t, "")
			stop := x.run()
			if _, err := x.Apply(t.Context(), config.Text{Data: []byte(c.text)}, time.Hour); err != nil {
				t.Fatal(err)
			}
			stop()
			if kept, err := Settle(x.file, time.Now()); kept != "" || err != nil {
				t.Fatalf("undone before its time: %s, %v", kept, err)
			}
			x.Follower = x.make()
			x.run()
			x.eventually("the trial goes on", func(s State) bool { return s.Trial != nil })
			x.end()
			x.eventually("undone", func(s State) bool { return s.Trial == nil })
			if err := x.do(t.Context(), func(context.Context) {}); err != nil { // after the revert
				t.Fatal(err)
			}
			if x.restarts != c.restarts || content(t, x.file) != "" {
				t.Errorf("%d restarts, want %d; the file holds %q", x.restarts, c.restarts, content(t, x.file))
			}
		})
	}
}

func TestNobodyIsAskedWhileNothingRuns(t *testing.T) {
	t.Parallel()
	x := newFixture(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := x.Diff(ctx, nil); err == nil {
		t.Error("somebody has answered")
	}
}
