package supervisortest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/supervisor"
)

// recorder is a test that notes its failures.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }
func (r *recorder) Helper()                           {}

func check(t *testing.T, opts Options, run, ready func(context.Context) error) string {
	t.Helper()
	r := &recorder{TB: t}
	Check(r, supervisor.Component{Name: "it", After: []string{"others"}, Run: run, Ready: ready}, opts)
	return r.said
}

func TestCheckPassesWhatKeepsTheRules(t *testing.T) {
	runs := 0
	said := check(t, Options{}, func(ctx context.Context) error { runs++; <-ctx.Done(); return nil }, nil)
	if said != "" || runs != 2 {
		t.Errorf("after %d runs: %s", runs, said)
	}
	if said := check(t, Options{RunsOnce: "upstream's globals"}, func(ctx context.Context) error { runs++; <-ctx.Done(); return nil }, nil); said != "" || runs != 3 {
		t.Errorf("after %d runs: %s", runs, said)
	}
}

func TestCheckFindsLeaks(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	leaky := func(ctx context.Context) error {
		go func() { <-hold }()
		<-ctx.Done()
		return nil
	}
	if said := check(t, Options{}, leaky, nil); !strings.Contains(said, "left goroutines behind") || !strings.Contains(said, "TestCheckFindsLeaks") {
		t.Errorf("got %q", said)
	}
	own := []string{"github.com/kelp-project/kelp/pkg/supervisor/supervisortest.TestCheckFindsLeaks"}
	if said := check(t, Options{Leaves: own}, leaky, nil); said != "" {
		t.Errorf("what is named is still a leak: %q", said)
	}
}

func TestCheckFindsFailure(t *testing.T) {
	said := check(t, Options{}, func(context.Context) error { return errors.New("no disk") }, nil)
	if !strings.Contains(said, "run 1 of it: it: no disk") {
		t.Errorf("got %q", said)
	}
}
