package balancer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// echo is a server that says its name and then what it is told.
type echo struct {
	name     string
	listener net.Listener
	mu       sync.Mutex
	ill      error
}

func newEcho(t *testing.T, name string) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{name: name, listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintln(c, e.name)
				for in := bufio.NewScanner(c); in.Scan(); {
					fmt.Fprintln(c, in.Text())
				}
			}()
		}
	}()
	return e
}

func (e *echo) address() string { return e.listener.Addr().String() }

func (e *echo) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ill = err
}

func (e *echo) health() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ill
}

// balance starts a balancer over servers.
func balance(t *testing.T, change func(*Options), servers ...*echo) *Balancer {
	t.Helper()
	opts := Options{
		Address: "127.0.0.1:0", File: filepath.Join(t.TempDir(), "servers.json"),
		Check: func(_ context.Context, address string) error {
			for _, s := range servers {
				if s.address() == address {
					return s.health()
				}
			}
			return errors.New("no such server")
		},
	}
	for _, s := range servers {
		opts.Servers = append(opts.Servers, s.address())
	}
	if change != nil {
		change(&opts)
	}
	b, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	if err := poll.Until(t.Context(), 5*time.Second, b.Ready); err != nil {
		t.Fatal(err)
	}
	return b
}

// connection is a client's.
type connection struct {
	net.Conn
	in *bufio.Reader
}

// connect returns a connection and the name of the server at its other end.
func connect(t *testing.T, b *Balancer) (*connection, string) {
	t.Helper()
	c, err := net.Dial("tcp", b.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	conn := &connection{c, bufio.NewReader(c)}
	name, err := conn.in.ReadString('\n')
	if err != nil {
		return conn, ""
	}
	return conn, name[:len(name)-1]
}

func (c *connection) alive() bool {
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		return false
	}
	answer, err := c.in.ReadString('\n')
	return err == nil && answer == "hello\n"
}

func TestConnectionsAreSharedAmongServers(t *testing.T) {
	t.Parallel()
	b := balance(t, nil, newEcho(t, "a"), newEcho(t, "b"))
	count := map[string]int{}
	for range 10 {
		c, name := connect(t, b)
		if !c.alive() {
			t.Error("nothing comes back")
		}
		count[name]++
	}
	if count["a"] != 5 || count["b"] != 5 {
		t.Errorf("connections: %v", count)
	}
}

func TestThePreferredServerIsUsedWhileItIsWell(t *testing.T) {
	t.Parallel()
	local, other := newEcho(t, "local"), newEcho(t, "other")
	b := balance(t, func(o *Options) { o.Prefer = local.address() }, other, local)
	for range 3 {
		if _, name := connect(t, b); name != "local" {
			t.Errorf("connected to %s", name)
		}
	}
	_ = local.listener.Close()
	if _, name := connect(t, b); name != "other" {
		t.Errorf("with the preferred server gone, connected to %q", name)
	}
}

func TestLiveConnectionsLeaveAServerThatStopsAnswering(t *testing.T) {
	t.Parallel()
	a, b := newEcho(t, "a"), newEcho(t, "b")
	lb := balance(t, nil, a, b)
	var onA, onB *connection
	for onA == nil || onB == nil {
		switch c, name := connect(t, lb); name {
		case "a":
			onA = c
		case "b":
			onB = c
		}
	}
	a.fail(errors.New("no route")) // it still takes connections, as a hung one does
	began := time.Now()
	if _, err := onA.in.ReadString('\n'); err == nil {
		t.Error("a server that hangs keeps its connections")
	}
	t.Logf("moved after %s", time.Since(began).Round(time.Millisecond))
	if !onB.alive() {
		t.Error("connections to the other server were closed, too")
	}
	for range 4 {
		if _, name := connect(t, lb); name != "b" {
			t.Errorf("connected to %q", name)
		}
	}
	a.fail(nil)
	if err := poll.Until(t.Context(), 10*time.Second, func(context.Context) error {
		if _, name := connect(t, lb); name != "a" {
			return fmt.Errorf("connected to %q", name)
		}
		return nil
	}); err != nil {
		t.Errorf("a server that is back is not used: %v", err)
	}
}

func TestEveryServerIsTriedWhenNoneLooksWell(t *testing.T) {
	t.Parallel()
	a := newEcho(t, "a")
	b := balance(t, nil, a)
	a.fail(errors.New("the check is wrong"))
	if err := poll.Until(t.Context(), 10*time.Second, func(context.Context) error {
		if b.Ready(t.Context()) == nil {
			return errors.New("still ready")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, name := connect(t, b); name != "a" {
		t.Errorf("connected to %q", name)
	}
}

func TestServersAreRemembered(t *testing.T) {
	t.Parallel()
	a, b := newEcho(t, "a"), newEcho(t, "b")
	file := filepath.Join(t.TempDir(), "servers.json")
	lb := balance(t, func(o *Options) { o.File = file }, a)
	onA, _ := connect(t, lb)
	if err := lb.Set([]string{b.address()}); err != nil {
		t.Fatal(err)
	}
	if onA.alive() {
		t.Error("a connection to a server that was removed lives on")
	}
	if _, name := connect(t, lb); name != "b" {
		t.Errorf("connected to %q", name)
	}
	if err := lb.Set(nil); err == nil {
		t.Error("an empty list was taken")
	}
	again, err := New(Options{File: file, Servers: []string{a.address()}})
	if err != nil || !slices.Equal(again.Servers(), []string{b.address()}) {
		t.Errorf("after a restart: %v, %v", again.Servers(), err)
	}
}

func TestBadLists(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{File: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a balancer without servers was made")
	}
	file := filepath.Join(t.TempDir(), "servers.json")
	if err := os.WriteFile(file, []byte(`{"servers":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{File: file, Servers: []string{"192.0.2.1:6443"}}); err == nil {
		t.Error("a torn list was taken")
	}
}
