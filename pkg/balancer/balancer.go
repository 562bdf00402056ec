package balancer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/internal/pipe"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// The pace. A server that has gone is noticed after three checks, within four
// seconds: clients write again within five.
const (
	checkEvery   = time.Second
	checkTimeout = time.Second
	failures     = 3
	// dialTimeout is how long a client waits for one server before the next
	// is tried.
	dialTimeout = 2 * time.Second
)

// Options are what a balancer is made from.
type Options struct {
	// Address is where it listens: a loopback address and port.
	Address string
	// File remembers the servers.
	File string
	// Servers are those to begin with, host:port, if the file has none. If it
	// has, they are tried when no server in it answers.
	Servers []string
	// Prefer is the server to use as long as it is well, "" if they are equal.
	Prefer string
	// Check says whether a server is well. It returns when ctx ends.
	Check func(ctx context.Context, server string) error
}

// Balancer carries connections to servers. It is safe for concurrent use.
type Balancer struct {
	opts    Options
	address atomic.Pointer[net.Addr]

	mu      sync.Mutex
	servers []*server
	former  []*server // asked only while none of servers is well
	turn    int       // of the next connection, where servers are equal
}

// server is one of them and its connections.
type server struct {
	address string
	failed  int  // checks in a row
	known   bool // whether it has been checked
	conns   map[net.Conn]struct{}
}

func (s *server) well() bool { return s.failed < failures }

// New reads the file and returns a balancer that does not listen yet.
func New(opts Options) (*Balancer, error) {
	b := &Balancer{opts: opts}
	remembered, err := Remembered(opts.File)
	if err != nil {
		return nil, err
	}
	switch {
	case len(remembered.Servers) == 0 && len(opts.Servers) == 0:
		return nil, errors.New("balance over servers: none is known")
	case len(remembered.Servers) == 0:
		remembered = remembered.change(opts.Servers)
	default: // what this machine was just told comes before what was once true
		remembered.Former = slices.Concat(opts.Servers, remembered.Former)
		remembered = remembered.change(remembered.Servers)
	}
	b.replace(remembered)
	return b, nil
}

// Servers are the addresses that are known, in the order in which they were
// given.
func (b *Balancer) Servers() []string {
	return b.list().Servers
}

func (b *Balancer) list() List {
	b.mu.Lock()
	defer b.mu.Unlock()
	var l List
	for _, s := range b.servers {
		l.Servers = append(l.Servers, s.address)
	}
	for _, s := range b.former {
		l.Former = append(l.Former, s.address)
	}
	return l
}

// Set replaces the servers, and remembers them. Connections to those that are
// no longer among them are closed. An empty list is refused: it would cut the
// node off for good.
func (b *Balancer) Set(servers []string) error {
	if len(servers) == 0 {
		return errors.New("balance over servers: the new list is empty")
	}
	before := b.list()
	if slices.Equal(servers, before.Servers) {
		return nil
	}
	next := before.change(servers)
	if err := write(b.opts.File, next); err != nil {
		return err
	}
	closeAll(b.replace(next))
	return nil
}

// replace returns the connections that have no server any more.
func (b *Balancer) replace(l List) []net.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := slices.Concat(b.servers, b.former)
	find := func(addresses []string) []*server {
		var found []*server
		for _, a := range addresses {
			i := slices.IndexFunc(known, func(s *server) bool { return s.address == a })
			switch {
			case slices.ContainsFunc(found, func(s *server) bool { return s.address == a }):
			case i >= 0:
				found = append(found, known[i])
			default:
				found = append(found, b.server(a))
			}
		}
		return found
	}
	b.servers = find(l.Servers)
	var lost []net.Conn
	for _, s := range known {
		if !slices.Contains(b.servers, s) {
			lost = append(lost, s.take()...)
		}
	}
	b.former = find(l.Former)
	for _, s := range b.former {
		s.failed, s.known = failures, false // until it is asked again
	}
	return lost
}

// server returns a new one. The preferred one has to answer before it is used
// ahead of others, which are there already.
func (b *Balancer) server(address string) *server {
	s := &server{address: address, conns: map[net.Conn]struct{}{}}
	if address == b.opts.Prefer {
		s.failed = failures
	}
	return s
}

// take returns and forgets a server's connections.
func (s *server) take() []net.Conn {
	var conns []net.Conn
	for c := range s.conns {
		conns = append(conns, c)
	}
	clear(s.conns)
	return conns
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close() // its other end is gone
	}
}

// Listening is nil when connections are accepted.
func (b *Balancer) Listening(context.Context) error {
	if b.address.Load() == nil {
		return errors.New("the balancer does not listen yet")
	}
	return nil
}

// Ready is nil when the balancer listens and a server is well.
func (b *Balancer) Ready(ctx context.Context) error {
	if err := b.Listening(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range slices.Concat(b.servers, b.former) {
		if s.failed == 0 {
			return nil
		}
	}
	return fmt.Errorf("none of the %d servers answers", len(b.servers))
}

// Address is where it listens, nil before Run does.
func (b *Balancer) Address() net.Addr {
	if a := b.address.Load(); a != nil {
		return *a
	}
	return nil
}

// Run listens until ctx ends. When it returns all connections are closed.
func (b *Balancer) Run(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", b.opts.Address)
	if err != nil {
		return fmt.Errorf("listen for the node's components: %w", err)
	}
	address := l.Addr()
	b.address.Store(&address)
	var all sync.WaitGroup
	defer all.Wait()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(inner, func() {
		_ = l.Close() // ends Accept
		closeAll(b.takeAll())
	})()
	b.checkOnce(inner) // or the first connections go where nobody answers
	all.Go(func() { b.check(inner) })
	for {
		client, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			cancel()
			closeAll(b.takeAll())
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("listen for the node's components: %w", err)
		case err != nil: // no file descriptors left: others will be closed
			log.G(ctx).WithError(err).Warn("a connection was not accepted")
			poll.Pause(ctx, checkEvery)
			continue
		}
		all.Go(func() { b.carry(inner, client) })
	}
}

func (b *Balancer) takeAll() []net.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	var conns []net.Conn
	for _, s := range slices.Concat(b.servers, b.former) {
		conns = append(conns, s.take()...)
	}
	return conns
}

// carry connects a client to a server and copies until one of them closes.
func (b *Balancer) carry(ctx context.Context, client net.Conn) {
	defer client.Close()
	upstream, s := b.dial(ctx)
	if upstream == nil {
		return
	}
	defer upstream.Close()
	if !b.enter(ctx, s, client, upstream) {
		return
	}
	defer b.leave(s, client, upstream)
	pipe.Both(upstream, client)
}

// enter notes the connection with its server, if that is still there.
func (b *Balancer) enter(ctx context.Context, s *server, conns ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil || !slices.Contains(b.servers, s) && !slices.Contains(b.former, s) {
		return false
	}
	for _, c := range conns {
		s.conns[c] = struct{}{}
	}
	return true
}

func (b *Balancer) leave(s *server, conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		delete(s.conns, c)
	}
}

// dial tries servers in the order of candidates.
func (b *Balancer) dial(ctx context.Context) (net.Conn, *server) {
	for _, s := range b.candidates() {
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", s.address)
		if err == nil {
			return conn, s
		}
		log.G(ctx).WithError(err).WithField("server", s.address).Debug("a server was not reached")
	}
	return nil, nil
}

// candidates are the servers to try: the preferred one, those that are well in
// turn, former ones that were found well when none of the others was, and those
// that are not in the hope that the check is wrong.
func (b *Balancer) candidates() []*server {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	var first, well, rest []*server
	for i := range b.servers {
		s := b.servers[(i+b.turn)%len(b.servers)]
		switch {
		case !s.well():
			rest = append(rest, s)
		case s.address == b.opts.Prefer:
			first = append(first, s)
		default:
			well = append(well, s)
		}
	}
	for _, s := range b.former {
		if s.well() {
			well = append(well, s)
		}
	}
	return slices.Concat(first, well, rest)
}
