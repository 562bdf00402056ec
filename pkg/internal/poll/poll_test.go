package poll

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestUntilReturnsOnSuccess(t *testing.T) {
	t.Parallel()
	tries := 0
	err := Until(t.Context(), 5*time.Second, func(context.Context) error {
		tries++
		if tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Fatalf("err %v after %d tries, want nil after 3", err, tries)
	}
}

func TestUntilNamesTheLastError(t *testing.T) {
	t.Parallel()
	err := Until(t.Context(), time.Millisecond, func(context.Context) error { return errors.New("connection refused") })
	if err == nil || !strings.Contains(err.Error(), "last: connection refused") || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestPauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	Pause(t.Context(), time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	Pause(ctx, time.Hour) // or the test does not end
}
