package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/internal/pipe"
)

const (
	// lookEvery is how often the agent looks which servers there are.
	lookEvery = time.Second
	// againAfter is the pause before a connection is tried again.
	againAfter  = 2 * time.Second
	openTimeout = 10 * time.Second
	// dialTimeout is how long something on the node may take to answer.
	dialTimeout = 10 * time.Second
)

// Agent keeps a connection to each server.
type Agent struct {
	// Servers are those that there are now, host:port.
	Servers func() []string
	// TLS makes the configuration of a connection: the cluster's authority, and
	// this node's certificate as it is now.
	TLS func() (*tls.Config, error)
	// Allow says whether servers may connect to an address through this node.
	Allow func(netip.Addr) bool
	// Own answers what servers ask of kelp on this node, nothing if it is nil.
	Own http.Handler

	open atomic.Int32 // connections
}

// Connections are how many servers this node is connected to.
func (a *Agent) Connections() int { return int(a.open.Load()) }

// Run keeps connections until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	running := map[string]context.CancelFunc{}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		wanted := map[string]bool{}
		for _, server := range a.Servers() {
			wanted[server] = true
			if running[server] == nil {
				inner, cancel := context.WithCancel(ctx)
				defer cancel()
				running[server] = cancel
				all.Go(func() { a.keep(inner, server) })
			}
		}
		for server, cancel := range running {
			if !wanted[server] {
				cancel()
				delete(running, server)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// keep connects to one server again and again.
func (a *Agent) keep(ctx context.Context, server string) {
	for ctx.Err() == nil {
		err := a.serve(ctx, server)
		log.G(ctx).WithError(err).WithField("server", server).WithField("next", againAfter).Debug("the tunnel to a server is closed")
		select {
		case <-ctx.Done():
		case <-time.After(againAfter):
		}
	}
}

// serve opens a connection and answers on it until it ends.
func (a *Agent) serve(ctx context.Context, server string) error {
	conn, err := a.dial(ctx, server)
	if err != nil {
		return err
	}
	a.open.Add(1)
	defer a.open.Add(-1)
	once := &onlyConn{conn: conn, ended: make(chan struct{})}
	s := &http.Server{
		Handler: http.HandlerFunc(a.connect), Protocols: http2(), HTTP2: pings(), ReadHeaderTimeout: openTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				_ = once.Close() // Serve returns
			}
		},
	}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	defer s.Close()
	return s.Serve(once)
}

// onlyConn is a listener with one connection, which it has already.
type onlyConn struct {
	conn     net.Conn
	accepted atomic.Bool
	close    sync.Once
	ended    chan struct{} // closed with the listener
}

// Accept returns the connection, and an error when that has ended.
func (l *onlyConn) Accept() (net.Conn, error) {
	if l.accepted.CompareAndSwap(false, true) {
		return l.conn, nil
	}
	<-l.ended
	return nil, net.ErrClosed
}

// Close ends Accept.
func (l *onlyConn) Close() error {
	l.close.Do(func() { close(l.ended) })
	return nil
}

// Addr is the connection's.
func (l *onlyConn) Addr() net.Addr { return l.conn.LocalAddr() }

func (a *Agent) dial(ctx context.Context, server string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	cfg, err := a.TLS()
	if err != nil {
		return nil, err
	}
	cfg.NextProtos = []string{"http/1.1"} // HTTP/2 begins after the upgrade, the other way round
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, fmt.Errorf("connect to server %s: %w", server, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+server+Path, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open tunnel: %w", err), conn.Close())
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // without it the answer is waited for longer
	}
	reader := bufio.NewReader(conn)
	if err := req.Write(conn); err != nil {
		return nil, errors.Join(fmt.Errorf("open tunnel to %s: %w", server, err), conn.Close())
	}
	res, err := http.ReadResponse(reader, req)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = errors.New(res.Status)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open tunnel to %s: %w", server, err), conn.Close())
	}
	_ = conn.SetDeadline(time.Time{})
	return &bufferedConn{conn, reader}, nil
}

// connect answers a server's CONNECT, and what is asked of kelp itself.
func (a *Agent) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && a.Own != nil {
		a.Own.ServeHTTP(w, r)
		return
	}
	target, err := netip.ParseAddrPort(r.Host)
	switch {
	case r.Method != http.MethodConnect:
		http.Error(w, "expected CONNECT", http.StatusMethodNotAllowed)
		return
	case err != nil || !a.Allow(target.Addr()):
		http.Error(w, r.Host+" is neither this node nor a pod", http.StatusForbidden)
		return
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer conn.Close()
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	if control.Flush() != nil {
		return // the server has gone
	}
	pipe.Both(conn, &answer{r.Body, w, control})
}

// answer is the agent's side of a stream: what is written is sent at once.
type answer struct {
	io.ReadCloser
	w       io.Writer
	control *http.ResponseController
}

// Write writes and flushes.
func (a *answer) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	if err == nil {
		err = a.control.Flush()
	}
	return n, err
}

// CloseWrite does nothing: the stream ends with the handler, when the other
// direction has ended, too.
func (a *answer) CloseWrite() error { return nil }
