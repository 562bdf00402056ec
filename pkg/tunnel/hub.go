package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/containerd/log"
)

const (
	// Path is where agents connect.
	Path = "/v1-kelp/tunnel"
	// protocol is the name in the upgrade.
	protocol = "kelp-tunnel"
	// A connection on which nothing has come for a while is asked for a sign of
	// life, and given up when there is none.
	idleBeforePing = 10 * time.Second
	pingTimeout    = 5 * time.Second
)

// ErrNoTunnel is returned for a node that has no connection to this server.
var ErrNoTunnel = errors.New("the node has no tunnel to this server")

// Hub holds the connections of agents to one server. It is safe for concurrent
// use.
type Hub struct {
	identify func(*http.Request) string

	mu    sync.Mutex
	nodes map[string]*http.ClientConn
}

// NewHub returns a hub without connections. Identify returns the node whose
// certificate a request has shown, "" for everybody else.
func NewHub(identify func(*http.Request) string) *Hub {
	return &Hub{identify: identify, nodes: map[string]*http.ClientConn{}}
}

// http2 is what both ends of a connection speak: TLS is below it already.
func http2() *http.Protocols {
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	return p
}

func pings() *http.HTTP2Config {
	return &http.HTTP2Config{SendPingTimeout: idleBeforePing, PingTimeout: pingTimeout}
}

// turn makes this side of a connection the client.
func turn(ctx context.Context, conn net.Conn) (*http.ClientConn, error) {
	transport := &http.Transport{
		Protocols: http2(), HTTP2: pings(), DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	return transport.NewClientConn(context.WithoutCancel(ctx), "http", "node:80")
}

// ServeHTTP takes the connection of an agent.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	node := h.identify(r)
	if node == "" {
		http.Error(w, "only a node's certificate opens a tunnel", http.StatusUnauthorized)
		return
	}
	if r.Header.Get("Upgrade") != protocol {
		http.Error(w, "expected an upgrade to "+protocol, http.StatusBadRequest)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the connection cannot be upgraded", http.StatusBadRequest)
		return
	}
	entry := log.G(r.Context()).WithField("node", node)
	_ = conn.SetDeadline(time.Time{}) // of the request's headers
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol); err != nil {
		_ = conn.Close() // the agent connects again
		return
	}
	turned, err := turn(r.Context(), &bufferedConn{conn, buffered.Reader})
	if err != nil {
		entry.WithError(err).Warn("a tunnel was not opened")
		_ = conn.Close()
		return
	}
	h.mu.Lock()
	old := h.nodes[node]
	h.nodes[node] = turned
	h.mu.Unlock()
	if old != nil {
		retire(old)
	}
	entry.Debug("a tunnel was opened")
}

// retire closes a connection when what goes through it has ended.
func retire(old *http.ClientConn) {
	closeIdle := func(c *http.ClientConn) {
		if c.InFlight() == 0 {
			_ = c.Close() // nobody uses it
		}
	}
	old.SetStateHook(closeIdle)
	closeIdle(old)
}

// Has says whether a node has a connection that can be used.
func (h *Hub) Has(node string) bool { return h.of(node) != nil }

func (h *Hub) of(node string) *http.ClientConn {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.nodes[node]
	if c != nil && c.Err() != nil {
		delete(h.nodes, node)
		return nil
	}
	return c
}

// Close ends all connections.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.nodes {
		_ = c.Close() // agents connect again
	}
	clear(h.nodes)
}

// Nodes are those that have a connection, in order.
func (h *Hub) Nodes() []string {
	h.mu.Lock()
	names := slices.Sorted(maps.Keys(h.nodes))
	h.mu.Unlock()
	return slices.DeleteFunc(names, func(name string) bool { return !h.Has(name) })
}

// Dial connects to an address, host:port, from the node's side.
func (h *Hub) Dial(ctx context.Context, node, address string) (io.ReadWriteCloser, error) {
	s, err := h.dial(ctx, node, address)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (h *Hub) dial(ctx context.Context, node, address string) (*stream, error) {
	turned := h.of(node)
	if turned == nil {
		return nil, ErrNoTunnel
	}
	reader, writer := io.Pipe()
	// The request ends with its body; ctx is for the dialling alone.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	req := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Scheme: "http", Host: address}, Host: address, Header: http.Header{}, Body: reader}).WithContext(life)
	res, err := turned.RoundTrip(req)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNoTunnel, err) // it has just broken
	} else if res.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // without it the status has to do
		_ = res.Body.Close()
		err = fmt.Errorf("%s: %s", res.Status, reason)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("dial %s through node %s: %w", address, node, err)
	}
	return &stream{res.Body, writer, end}, nil
}

// Get asks the kelp on a node for a path. The body is the caller's to close.
func (h *Hub) Get(ctx context.Context, node, path, query string) (*http.Response, error) {
	turned := h.of(node)
	if turned == nil {
		return nil, ErrNoTunnel
	}
	req := (&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: node, Path: path, RawQuery: query}, Host: node, Header: http.Header{}}).WithContext(ctx)
	res, err := turned.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTunnel, err) // it has just broken
	}
	return res, nil
}

// stream is one connection through a tunnel.
type stream struct {
	io.ReadCloser
	*io.PipeWriter
	end context.CancelFunc
}

// Close ends both directions.
func (s *stream) Close() error {
	_ = s.PipeWriter.Close() // never fails
	err := s.ReadCloser.Close()
	s.end()
	return err
}

// CloseWrite ends what is sent; what the other side still sends can be read.
func (s *stream) CloseWrite() error { return s.PipeWriter.Close() }

// bufferedConn is a connection of which something was read ahead.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

// Read reads what was read ahead first.
func (c *bufferedConn) Read(p []byte) (int, error) { return c.reader.Read(p) }
