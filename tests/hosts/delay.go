package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// relayed marks the connections of a delay's own, which are not delayed once more.
const relayed = 0x6b656c70

// Delay has all that the host's programs send to these addresses, HOST:PORT, and all
// that comes back, be under way for so much longer, on connections that begin from
// now on. The function that it returns ends that, and these connections.
func (h *Host) Delay(ctx context.Context, by time.Duration, addresses ...string) (end func(context.Context) error, err error) {
	d := &delay{host: h, by: by}
	d.ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	rules := "table ip delay\ndelete table ip delay\ntable ip delay {\nchain output {\ntype nat hook output priority -150\n"
	for _, address := range addresses {
		l, err := listenIn(ctx, h.network(), "tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("delay what goes to %s: %w", address, err), d.end(ctx))
		}
		d.listeners = append(d.listeners, l)
		d.work.Go(func() { d.serve(l, address) })
		to, port, _ := strings.Cut(address, ":")
		rules += fmt.Sprintf("ip daddr %s tcp dport %s meta mark != %d redirect to :%d\n", to, port, relayed, l.Addr().(*net.TCPAddr).Port)
	}
	if _, err := h.RunInput(ctx, rules+"}\n}\n", "nft", "-f", "-"); err != nil {
		return nil, errors.Join(err, d.end(ctx))
	}
	return d.end, nil
}

// delay is a relay on the host through which connections go. The kernel of the
// machines that run the tests need not have netem.
type delay struct {
	host      *Host
	by        time.Duration
	ctx       context.Context
	cancel    func()
	listeners []net.Listener
	work      sync.WaitGroup
}

func (d *delay) end(ctx context.Context) error {
	_, err := d.host.RunInput(ctx, "table ip delay\ndelete table ip delay\n", "nft", "-f", "-")
	d.cancel()
	for _, l := range d.listeners {
		err = errors.Join(err, l.Close())
	}
	d.work.Wait()
	return err
}

func (d *delay) serve(l net.Listener, address string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return // it is closed
		}
		d.work.Go(func() { d.relay(from, address) })
	}
}

func (d *delay) relay(from net.Conn, address string) {
	dialer := &net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		told := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, relayed) })
		return errors.Join(told, err)
	}}
	to, err := dialIn(d.ctx, d.host.network(), dialer, "tcp4", address)
	if err != nil {
		_ = from.Close() // as if it had been refused
		return
	}
	closed := context.AfterFunc(d.ctx, func() { closeBoth(from, to) })
	defer closed()
	var both sync.WaitGroup
	both.Go(func() { d.later(to, from) })
	both.Go(func() { d.later(from, to) })
	both.Wait()
}

// closeBoth ends a connection: what was under way is lost, as with any that ends.
func closeBoth(a, b net.Conn) {
	_ = a.Close()
	_ = b.Close()
}

// later hands on what it reads when it has been under way for long enough.
func (d *delay) later(to, from net.Conn) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	pieces := make(chan piece, 1024)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		for {
			p := piece{bytes: make([]byte, 16<<10)}
			n, err := from.Read(p.bytes)
			if p.bytes, p.due = p.bytes[:n], time.Now().Add(d.by); n > 0 {
				pieces <- p
			}
			if err != nil {
				return
			}
		}
	})
	for p := range pieces {
		<-time.After(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			break
		}
	}
	closeBoth(to, from)
	for range pieces { // what nobody takes any more
	}
	reading.Wait()
}
