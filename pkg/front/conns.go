package front

import (
	"net"
	"sync"
	"time"
)

// keepAlive is how often an idle connection is probed, so that those of
// laptops that were closed go away. It is the API server's own figure.
const keepAlive = 3 * time.Minute

// listener remembers the connections it has accepted until they are closed:
// net/http forgets those that were hijacked for exec and port-forward.
type listener struct {
	net.Listener

	mu    sync.Mutex
	conns map[*conn]struct{}
}

type conn struct {
	net.Conn
	forget func()
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := accepted.(*net.TCPConn); ok {
		// Best effort: without probes the connection works all the same.
		_ = tcp.SetKeepAlive(true)
		_ = tcp.SetKeepAlivePeriod(keepAlive)
	}
	c := &conn{Conn: accepted}
	c.forget = sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, c)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	return c, nil
}

// Close closes the connection.
func (c *conn) Close() error {
	c.forget()
	return c.Conn.Close()
}

// closeAll closes every connection that is still open.
func (l *listener) closeAll() {
	l.mu.Lock()
	open := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}
