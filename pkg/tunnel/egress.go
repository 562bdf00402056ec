package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/internal/pipe"
)

// directTimeout is how long a direct connection may take: what the API server
// gives it without an egress selector.
const directTimeout = 30 * time.Second

// headerTimeout is how long the API server may take to say what it wants.
const headerTimeout = 10 * time.Second

// Egress answers the API server's CONNECT requests on a unix socket.
type Egress struct {
	hub    *Hub
	socket string
	// nodeOf is the node that an address belongs to, "" if it is none's.
	nodeOf func(netip.Addr) string
	ready  chan struct{}
	once   sync.Once
}

// NewEgress returns an egress that does not listen yet.
func NewEgress(hub *Hub, socket string, nodeOf func(netip.Addr) string) *Egress {
	return &Egress{hub: hub, socket: socket, nodeOf: nodeOf, ready: make(chan struct{})}
}

// Run listens until ctx ends.
func (e *Egress) Run(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(e.socket), 0o700); err != nil {
		return fmt.Errorf("make directory of the egress socket: %w", err)
	}
	if err := os.Remove(e.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove an earlier egress socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", e.socket)
	if err != nil {
		return fmt.Errorf("listen for the API server's connections to nodes: %w", err)
	}
	if err := os.Chmod(e.socket, 0o600); err != nil {
		_ = l.Close()
		return fmt.Errorf("restrict the egress socket: %w", err)
	}
	// A request's own context ends when its connection's other side has sent all.
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.connect(ctx, w, r) })
	server := &http.Server{Handler: answer, ReadHeaderTimeout: headerTimeout, BaseContext: func(net.Listener) context.Context { return ctx }}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	defer e.hub.Close()
	e.once.Do(func() { close(e.ready) })
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API server's connections to nodes: %w", err)
	}
	return nil
}

// Ready is nil when the socket is there.
func (e *Egress) Ready(context.Context) error {
	select {
	case <-e.ready:
		return nil
	default:
		return errors.New("the egress socket is not there yet")
	}
}

// connect connects the API server to an address, until ctx ends.
func (e *Egress) connect(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "expected CONNECT", http.StatusMethodNotAllowed)
		return
	}
	upstream, err := e.dial(r.Context(), r.Host)
	if err != nil {
		log.G(r.Context()).WithError(err).WithField("address", r.Host).Debug("the API server was not connected")
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer upstream.Close()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the API server has gone
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	pipe.Both(&bufferedConn{conn, buffered.Reader}, upstream)
}

func (e *Egress) dial(ctx context.Context, address string) (io.ReadWriteCloser, error) {
	if host, _, err := net.SplitHostPort(address); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil {
			if node := e.nodeOf(ip); node != "" && e.hub.Has(node) {
				through, err := e.hub.Dial(ctx, node, address)
				if !errors.Is(err, ErrNoTunnel) {
					return through, err
				}
			}
		}
	}
	return (&net.Dialer{Timeout: directTimeout}).DialContext(ctx, "tcp", address)
}
