package latest

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestGetWaitsForSet(t *testing.T) {
	t.Parallel()
	v := New[int]()
	got := make(chan int, 1)
	go func() {
		n, err := v.Get(t.Context())
		if err == nil {
			got <- n
		}
	}()
	v.Set(7)
	select {
	case n := <-got:
		if n != 7 {
			t.Fatalf("got %d, want 7", n)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Get did not return after Set")
	}
}

func TestGetEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New[string]().Get(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}

func TestPeekTellsOfChange(t *testing.T) {
	t.Parallel()
	v := Of("a")
	_, ok, changed := v.Peek()
	if !ok {
		t.Fatal("Of left the value empty")
	}
	v.Set("b")
	select {
	case <-changed:
	default:
		t.Fatal("changed stays open after Set")
	}
	if now, _, _ := v.Peek(); now != "b" {
		t.Fatalf("got %q, want b", now)
	}
}
