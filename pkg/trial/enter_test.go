package trial

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bench is a program with a candidate beside it, on trial, and what is executed.
type bench struct {
	Store
	t        *testing.T
	record   Record
	executed []string
	execErr  error
	self     string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "bin", "kelp")
	b := &bench{Store: Store{filepath.Join(dir, "data", "upgrade")}, t: t, self: program, execErr: errors.New("exec format error")}
	b.record = Record{ID: "one", From: "v1", To: "v2", Program: program, Candidate: Candidate(program), Timeout: time.Minute, Began: time.Now()}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	b.write(program, "old")
	b.write(b.record.Candidate, "new")
	if err := b.Begin(b.record); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) write(path, text string) {
	b.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

// enter is a start of a version. An executed program does not come back, which the
// test sees as a panic.
func (b *bench) enter(version string) (e Entered, executed string) {
	b.t.Helper()
	type gone struct{ path string }
	defer func() {
		if r := recover(); r != nil {
			executed = r.(gone).path
		}
	}()
	return enter(b.Store, version, machine{now: time.Now, self: func() (string, error) { return b.self, nil },
		exec: func(path string, _, env []string) error {
			if b.execErr != nil && path == b.record.Candidate {
				return b.execErr
			}
			b.executed = append(b.executed, path)
			if !slices.Contains(env, variable+"="+b.record.ID) && path == b.record.Candidate {
				b.t.Error("the candidate is not told that it is on trial")
			}
			panic(gone{path}) // a test's exec cannot return, as the real one does not
		}}), ""
}

// ended has the trial be over, with what is in the files.
func (b *bench) ended(succeeded bool, reason, program, previous string) {
	b.t.Helper()
	o, was, err := b.Last()
	if err != nil || !was || o.Succeeded != succeeded || !strings.Contains(o.Reason, reason) {
		b.t.Errorf("the outcome is %+v, %v; want %q", o, err, reason)
	}
	if _, there, err := b.Read(); there || err != nil {
		b.t.Errorf("it is still on trial: %v", err)
	}
	for path, want := range map[string]string{b.record.Program: program, Previous(b.record.Program): previous, b.record.Candidate: "-", b.record.Program + ".keep": "-"} {
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			text, err = []byte("-"), nil
		}
		if err != nil || string(text) != want {
			b.t.Errorf("%s holds %q, %v; want %q", path, text, err, want)
		}
	}
}

// candidate is the process that a start has executed.
func (b *bench) candidate() *Guard {
	b.t.Helper()
	r, there, err := b.Read()
	if err != nil || !there {
		b.t.Fatalf("no trial: %v", err)
	}
	return &Guard{store: b.Store, record: r, now: time.Now}
}

func TestACandidateThatIsReadyTakesThePlace(t *testing.T) {
	b := newBench(t)
	b.execErr = nil
	if _, path := b.enter("v1"); path != b.record.Candidate {
		t.Fatalf("executed %q", path)
	}
	t.Setenv(variable, b.record.ID)
	e, path := b.enter("v2")
	if e.Guard == nil || path != "" {
		t.Fatalf("%+v, executed %q", e, path)
	}
	if _, left := os.LookupEnv(variable); left {
		t.Error("the variable is left to what kelp starts")
	}
	if !e.Guard.Ready(t.Context()) {
		t.Error("it is not ready")
	}
	b.ended(true, "", "new", "old")
	e.Guard.Ready(t.Context()) // again, for a node becomes ready again
	b.ended(true, "", "new", "old")
	if e, path := b.enter("v2"); e.Guard != nil || e.Ended != nil || e.Err != nil || path != "" {
		t.Errorf("a start afterwards: %+v, executed %q", e, path)
	}
}

// TestThreeStartsAreEnough, however they end: nothing of the candidate's has to run.
func TestThreeStartsAreEnough(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.execErr = nil
	for range maxStarts {
		if _, path := b.enter("v1"); path != b.record.Candidate {
			t.Fatalf("executed %q", path)
		}
	}
	b.candidate().Failed(errors.New("no disk"))
	e, path := b.enter("v1")
	if path != "" || e.Guard != nil || e.Ended == nil || e.Err != nil {
		t.Errorf("%+v, executed %q", e, path)
	}
	b.ended(false, "3 starts: no disk", "old", "-")
}

func TestAFileThatIsNoProgramIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if e, path := b.enter("v1"); path != "" || e.Ended == nil || e.Err != nil {
		t.Errorf("%+v, executed %q", e, path)
	}
	b.ended(false, "exec format error", "old", "-")
}

// TestACandidateThatGivesUpStartsTheOldProgram is what happens when it starts itself
// anew after its time was over.
func TestACandidateThatGivesUpStartsTheOldProgram(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	g := b.candidate()
	g.record.Timeout = time.Millisecond
	restarted := make(chan struct{})
	g.Follow(func() string { return "datastore" })
	defer g.Watch(t.Context(), func() { close(restarted) })()
	<-restarted
	if g.Ready(t.Context()) {
		t.Error("it was given up, and is taken for ready")
	}
	b.self = b.record.Candidate
	if _, path := b.enter("v2"); path != b.record.Program {
		t.Errorf("executed %q", path)
	}
	b.ended(false, "waited for datastore", "old", "-")
}

func TestAReadyCandidateIsNotGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	g := b.candidate()
	g.Ready(t.Context())
	if err := b.Abandon(b.record.ID, "late"); !errors.Is(err, ErrOver) {
		t.Errorf("it was given up when it was over: %v", err)
	}
	g.record.Timeout = 0
	ctx, cancel := context.WithCancel(t.Context())
	defer g.Watch(ctx, func() { t.Error("it was given up") })()
	cancel()
	b.ended(true, "", "new", "old")
}

// TestStoppedAnywhere has the power go between any two steps. Nothing is lost, and
// one program more start settles it.
func TestStoppedAnywhere(t *testing.T) {
	t.Parallel()
	link := func(b *bench, from, to string) {
		if err := os.Link(from, to); err != nil {
			b.t.Fatal(err)
		}
	}
	rename := func(b *bench, from, to string) {
		if err := os.Rename(from, to); err != nil {
			b.t.Fatal(err)
		}
	}
	kept := func(b *bench) { link(b, b.record.Program, b.record.Program+".keep") }
	previous := func(b *bench) { link(b, b.record.Program, Previous(b.record.Program)) }
	swapped := func(b *bench) { previous(b); rename(b, b.record.Candidate, b.record.Program) }
	noted := func(reason string) func(*bench) {
		return func(b *bench) {
			if err := write(b.outcome(), Outcome{ID: b.record.ID, Succeeded: reason == "", Reason: reason}); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		until   func(*bench)
		version string // that starts next
		retried bool   // by the candidate, which becomes ready then
		reason  string
	}{
		"after the old one was linked":           {kept, "v1", true, ""},
		"after the old one was kept":             {previous, "v1", true, ""},
		"after the new one has its place":        {swapped, "v2", false, ""},
		"after that was noted":                   {func(b *bench) { swapped(b); noted("")(b) }, "v2", false, ""},
		"after it was given up":                  {func(b *bench) { _ = b.Abandon("one", "slow") }, "v1", false, "slow"},
		"after that was noted as the outcome":    {func(b *bench) { _ = b.Abandon("one", "slow"); noted("slow")(b) }, "v1", false, "slow"},
		"after the given up program was removed": {func(b *bench) { _ = b.Abandon("one", "slow"); _ = os.Remove(b.record.Candidate) }, "v1", false, "slow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.execErr = nil
			c.until(b)
			e, path := b.enter(c.version)
			switch {
			case c.retried && path == b.record.Candidate:
				b.candidate().Ready(t.Context())
			case c.retried || path != "" || e.Ended == nil || e.Err != nil:
				t.Errorf("%+v, executed %q", e, path)
			}
			if c.reason == "" {
				b.ended(true, "", "new", "old")
			} else {
				b.ended(false, c.reason, "old", "-")
			}
		})
	}
}

func TestTwoTrialsAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.Begin(Record{ID: "two", To: "v3"}); err == nil || !strings.Contains(err.Error(), "v2 is on trial already") {
		t.Errorf("a second trial: %v", err)
	}
	if err := b.Abandon("two", "x"); !errors.Is(err, ErrOver) {
		t.Errorf("another trial was given up: %v", err)
	}
}

// TestARecordThatCannotBeReadStopsNobody also without a directory.
func TestARecordThatCannotBeReadStopsNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(b.Store.record(), "{")
	if e, path := b.enter("v1"); e.Err == nil || path != "" {
		t.Errorf("%+v, executed %q", e, path)
	}
	b.Dir = filepath.Join(t.TempDir(), "none")
	if e, path := b.enter("v1"); e != (Entered{}) || path != "" {
		t.Errorf("%+v, executed %q", e, path)
	}
}

func TestStateIsOneLine(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if got := b.State().Line(time.Now()); !strings.HasPrefix(got, "to v2 is on trial") {
		t.Error(got)
	}
	if err := b.Abandon("one", "by hand"); err != nil {
		t.Fatal(err)
	}
	if got := b.State().Line(time.Now()); !strings.Contains(got, "v1 starts: by hand") {
		t.Error(got)
	}
	b.enter("v1")
	if got := b.State().Line(time.Now()); !strings.HasPrefix(got, "to v2 FAILED") || !strings.HasSuffix(got, "by hand") {
		t.Error(got)
	}
	if got := (Store{t.TempDir()}).State().Line(time.Now()); got != "" {
		t.Error(got)
	}
}

// A data directory that is a file is for the preflight to tell of, in its own words.
func TestEnterWhereTheDataDirectoryIsAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := Enter(filepath.Join(file, "upgrade"), "v1"); e.Err != nil || e.Guard != nil || e.Ended != nil {
		t.Errorf("got %+v", e)
	}
}

// Who is not root is refused later, and told nothing of upgrades.
func TestEnterWithoutBeingRoot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := os.Chmod(b.Dir, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(b.Dir, 0o700) })
	if os.Geteuid() == 0 {
		// This thread alone is nobody at the file system, and ends with the test.
		runtime.LockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
	}
	e, path := b.enter("v1")
	if os.Geteuid() == 0 {
		if err := unix.Setfsuid(0); err != nil {
			t.Fatal(err)
		}
	}
	if e != (Entered{}) || path != "" {
		t.Errorf("%+v, executed %q", e, path)
	}
}
