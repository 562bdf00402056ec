package balancer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// A cluster's servers stop one after the other: the list shrinks to the last,
// which comes back with another address. The others are still found.
func TestServersThatLeftAreAskedWhenNoOtherAnswers(t *testing.T) {
	t.Parallel()
	a, last := newEcho(t, "a"), newEcho(t, "last")
	file := filepath.Join(t.TempDir(), "servers.json")
	lb := balance(t, func(o *Options) { o.File = file }, a, last)
	if err := lb.Set([]string{last.address()}); err != nil {
		t.Fatal(err)
	}
	last.fail(errors.New("it has another address now"))
	_ = last.listener.Close()

	again := balance(t, func(o *Options) {
		o.File, o.Servers = file, nil
		o.Check = func(_ context.Context, address string) error {
			if address == a.address() {
				return a.health()
			}
			return errors.New("no such server")
		}
	})
	if got := again.Servers(); !slices.Equal(got, []string{last.address()}) {
		t.Errorf("the servers are %v", got)
	}
	c, name := connect(t, again)
	if name != "a" {
		t.Fatalf("connected to %q", name)
	}
	if err := again.Set([]string{a.address(), "192.0.2.1:6443"}); err != nil {
		t.Fatal(err)
	}
	if !c.alive() {
		t.Error("the connection to a server that is registered again was closed")
	}
	kept, err := Remembered(file)
	if err != nil || !slices.Equal(kept.Former, []string{last.address()}) {
		t.Errorf("remembered %+v, %v", kept, err)
	}
}

func TestFormerServersAreLeftAloneWhileAnotherIsWell(t *testing.T) {
	t.Parallel()
	a, gone := newEcho(t, "a"), newEcho(t, "gone")
	var asked, goneAsked atomic.Int32
	lb := balance(t, func(o *Options) {
		o.Check = func(_ context.Context, address string) error {
			asked.Add(1)
			if address == gone.address() {
				goneAsked.Add(1)
			}
			return a.health()
		}
	}, a, gone)
	onGone, name := connect(t, lb)
	for name != "gone" {
		onGone, name = connect(t, lb)
	}
	if err := lb.Set([]string{a.address()}); err != nil {
		t.Fatal(err)
	}
	if onGone.alive() {
		t.Error("a connection to a server that left lives on")
	}
	before, began := goneAsked.Load(), asked.Load()
	if err := poll.Until(t.Context(), 20*time.Second, func(context.Context) error {
		if n := asked.Load() - began; n < 4 {
			return fmt.Errorf("%d checks", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := goneAsked.Load() - before; n > 1 { // one may have been on its way
		t.Errorf("a server that left was asked %d times", n)
	}
	for range 4 {
		if _, name := connect(t, lb); name != "a" {
			t.Errorf("connected to %q", name)
		}
	}
}

// What a machine was told at its start is tried besides what its file holds.
func TestAServerThatWasGivenIsTriedBesidesTheFile(t *testing.T) {
	t.Parallel()
	a := newEcho(t, "a")
	file := filepath.Join(t.TempDir(), "servers.json")
	if err := write(file, List{Servers: []string{"127.0.0.1:1"}}); err != nil {
		t.Fatal(err)
	}
	if _, name := connect(t, balance(t, func(o *Options) { o.File = file }, a)); name != "a" {
		t.Errorf("connected to %q", name)
	}
}

func TestNotAllFormerServersAreRemembered(t *testing.T) {
	t.Parallel()
	var l List
	for i := range 3 * maxFormer {
		l = l.change([]string{fmt.Sprintf("192.0.2.%d:6443", i)})
	}
	if len(l.Former) != maxFormer || l.Former[0] != "192.0.2.22:6443" {
		t.Errorf("former servers: %v", l.Former)
	}
}
