package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// world is a server with a hub and an egress, and an agent that is called leaf.
type world struct {
	hub    *Hub
	socket string
	stop   context.CancelFunc // ends the agent
}

func newWorld(t *testing.T, allow func(netip.Addr) bool) *world {
	t.Helper()
	w := &world{}
	w.hub = NewHub(func(r *http.Request) string { return r.TLS.ServerName })
	front := httptest.NewTLSServer(w.hub)
	t.Cleanup(front.Close)
	dir, err := os.MkdirTemp("", "tunnel") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w.socket = filepath.Join(dir, "egress.sock")
	egress := NewEgress(w.hub, w.socket, func(netip.Addr) string { return "example.com" })
	roots := x509.NewCertPool()
	roots.AddCert(front.Certificate())
	agent := &Agent{
		Servers: func() []string { return []string{front.Listener.Addr().String()} },
		TLS:     func() (*tls.Config, error) { return &tls.Config{RootCAs: roots, ServerName: "example.com"}, nil },
		Allow:   allow,
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	inner, stop := context.WithCancel(ctx)
	w.stop = stop
	for _, run := range []func() error{func() error { return egress.Run(ctx) }, func() error { return agent.Run(inner) }} {
		running.Go(func() {
			if err := run(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	if err := poll.Until(ctx, 10*time.Second, egress.Ready); err != nil {
		t.Fatal(err)
	}
	w.await(t)
	return w
}

func (w *world) await(t *testing.T) {
	t.Helper()
	if err := poll.Until(t.Context(), 20*time.Second, func(context.Context) error {
		if !w.hub.Has("example.com") {
			return ErrNoTunnel
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// connect asks the egress for an address, as the API server does.
func (w *world) connect(t *testing.T, address string) (net.Conn, *bufio.Reader, error) {
	t.Helper()
	conn, err := net.Dial("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(res.Body)
		return nil, nil, fmt.Errorf("%s: %s", res.Status, reason)
	}
	return conn, reader, nil
}

// echo is a listener that sends back what it gets, and then its own end.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	return l.Addr().String()
}

func everything(netip.Addr) bool { return true }

// What is sent comes back, a megabyte as well as a line, on many connections at
// a time, and both ends learn of the end.
func TestThroughTheTunnel(t *testing.T) {
	t.Parallel()
	w, address := newWorld(t, everything), echo(t)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			conn, reader, err := w.connect(t, address)
			if err != nil {
				t.Error(err)
				return
			}
			line := fmt.Sprintf("hello %d\n", i)
			if _, err := io.WriteString(conn, line); err != nil {
				t.Error(err)
			}
			if got, err := reader.ReadString('\n'); err != nil || got != line {
				t.Errorf("got %q, %v", got, err)
			}
			big := strings.Repeat("x", 1<<20)
			all.Go(func() {
				_, _ = io.WriteString(conn, big)
				_ = conn.(*net.UnixConn).CloseWrite()
			})
			if rest, err := io.ReadAll(reader); err != nil || len(rest) != len(big) {
				t.Errorf("got %d bytes, %v", len(rest), err)
			}
		})
	}
	all.Wait()
}

func TestWhatAnAgentRefuses(t *testing.T) {
	t.Parallel()
	w, address := newWorld(t, func(netip.Addr) bool { return false }), echo(t)
	if _, _, err := w.connect(t, address); err == nil || !strings.Contains(err.Error(), "neither this node nor a pod") {
		t.Errorf("an address that is not the node's: %v", err)
	}
	free := newWorld(t, everything)
	if _, _, err := free.connect(t, "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a closed port: %v", err)
	}
}

// A tunnel that breaks is opened again, and where there is none the server
// connects directly.
func TestAgainAndWithout(t *testing.T) {
	t.Parallel()
	w, address := newWorld(t, everything), echo(t)
	w.hub.Close()
	w.await(t)
	if _, _, err := w.connect(t, address); err != nil {
		t.Errorf("after it broke: %v", err)
	}
	w.stop()
	if err := poll.Until(t.Context(), 20*time.Second, func(context.Context) error {
		if w.hub.Has("example.com") {
			return errors.New("the tunnel is still there")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.connect(t, address); err != nil {
		t.Errorf("without a tunnel: %v", err)
	}
}

func TestStrangersGetNoTunnel(t *testing.T) {
	t.Parallel()
	hub := NewHub(func(*http.Request) string { return "" })
	answer := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, Path, nil)
	r.Header.Set("Upgrade", protocol)
	hub.ServeHTTP(answer, r)
	if answer.Code != http.StatusUnauthorized {
		t.Errorf("status %d", answer.Code)
	}
	known := NewHub(func(*http.Request) string { return "leaf" })
	answer = httptest.NewRecorder()
	known.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, Path, nil))
	if answer.Code != http.StatusBadRequest {
		t.Errorf("without an upgrade: status %d", answer.Code)
	}
}
