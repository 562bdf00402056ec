package apiserver

import (
	"net"
	"sync"
)

// unlistener is a listener that no connection ever comes from. Upstream
// reads its address, for its client of itself, and calls Accept when it is
// about to serve, which is what accepting tells.
type unlistener struct {
	address   *net.TCPAddr
	accepting func()
	closed    chan struct{}
	close     func()
}

var _ net.Listener = (*unlistener)(nil)

// newUnlistener returns a listener with the address; accepting is called
// once, at the first Accept.
func newUnlistener(address *net.TCPAddr, accepting func()) *unlistener {
	closed := make(chan struct{})
	return &unlistener{
		address:   address,
		accepting: sync.OnceFunc(accepting),
		closed:    closed,
		close:     sync.OnceFunc(func() { close(closed) }),
	}
}

// Accept blocks until Close.
func (l *unlistener) Accept() (net.Conn, error) {
	l.accepting()
	<-l.closed
	return nil, net.ErrClosed
}

// Close ends Accept.
func (l *unlistener) Close() error {
	l.close()
	return nil
}

// Addr is the address at which the API is reached.
func (l *unlistener) Addr() net.Addr { return l.address }
