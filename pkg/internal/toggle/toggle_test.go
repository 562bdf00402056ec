package toggle

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func TestRunsWhileItIsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var began, ended, off int
		s := New(false)
		run := s.Run(func(ctx context.Context) error {
			began++
			<-ctx.Done()
			ended++
			return errors.New("not cleanly")
		}, func(context.Context) error { off++; return nil })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		want := func(b, e, o int) {
			t.Helper()
			synctest.Wait()
			if began != b || ended != e || off != o {
				t.Errorf("began %d, ended %d, off %d times, want %d, %d, %d", began, ended, off, b, e, o)
			}
		}
		want(0, 0, 1)
		s.Set(false) // as it is
		want(0, 0, 1)
		s.Set(true)
		want(1, 0, 1)
		s.Set(true)
		want(1, 0, 1)
		s.Set(false)
		want(1, 1, 2)
		s.Set(true)
		want(2, 1, 2)
		cancel()
		if err := <-done; err == nil || err.Error() != "not cleanly" {
			t.Errorf("at the stop: %v", err)
		}
	})
}

func TestAnEndByItselfIsAnError(t *testing.T) {
	t.Parallel()
	err := New(true).Run(func(context.Context) error { return nil }, nil)(t.Context())
	if err == nil || !strings.Contains(err.Error(), "by itself") {
		t.Errorf("got %v", err)
	}
	boom := errors.New("boom")
	if err := New(true).Run(func(context.Context) error { return boom }, nil)(t.Context()); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if err := New(false).Run(nil, func(context.Context) error { return boom })(t.Context()); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

func TestReadyAndTell(t *testing.T) {
	t.Parallel()
	s := New(true)
	not := errors.New("not ready")
	ready := s.Ready(func(context.Context) error { return not })
	if err := ready(t.Context()); !errors.Is(err, not) || s.Tell("disabled")() != "" {
		t.Errorf("on: %v, %q", err, s.Tell("disabled")())
	}
	s.Set(false)
	if err := ready(t.Context()); err != nil || s.Tell("disabled")() != "disabled" {
		t.Errorf("off: %v, %q", err, s.Tell("disabled")())
	}
}
