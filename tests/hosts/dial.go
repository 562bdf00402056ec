package hosts

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects from the lab's gateway, which is on the hosts' network but
// none of them. The address must be numeric.
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialIn(ctx, "/run/netns/"+l.Name, new(net.Dialer), network, address)
}

// Dial connects from inside the host. The address must be numeric.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialIn(ctx, h.network(), new(net.Dialer), network, address)
}

// network is the host's network namespace.
func (h *Host) network() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("/proc/%d/ns/net", h.leader)
}

// dialIn connects in the network namespace at path. A socket belongs to the
// namespace in which its thread was when it was made: so a thread goes there,
// connects, and ends by not being unlocked.
func dialIn(ctx context.Context, path string, dialer *net.Dialer, network, address string) (net.Conn, error) {
	type dialled struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialled, 1)
	go func() {
		if err := enter(path); err != nil {
			done <- dialled{err: err}
			return
		}
		conn, err := dialer.DialContext(ctx, network, address)
		done <- dialled{conn, err}
	}()
	d := <-done
	return d.conn, d.err
}

// Get fetches a page over connections made by dial and returns its body. A
// status other than 200 is an error.
func Get(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("make a request for %s: %w", url, err)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", fmt.Errorf("get %s: %w", url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return string(body), fmt.Errorf("get %s: %s: %s", url, resp.Status, body)
	}
	return string(body), nil
}

// Listen listens on one of the gateway's addresses, so that hosts reach a
// server of the test's.
func (l *Lab) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return listenIn(ctx, "/run/netns/"+l.Name, network, address)
}

// listenIn listens in the network namespace at path, as dialIn dials.
func listenIn(ctx context.Context, path, network, address string) (net.Listener, error) {
	type listening struct {
		listener net.Listener
		err      error
	}
	done := make(chan listening, 1)
	go func() {
		if err := enter(path); err != nil {
			done <- listening{err: err}
			return
		}
		listener, err := new(net.ListenConfig).Listen(ctx, network, address)
		done <- listening{listener, err}
	}()
	d := <-done
	return d.listener, d.err
}

// enter moves the calling goroutine's thread into a network namespace for
// good: the thread ends with the goroutine.
func enter(path string) error {
	runtime.LockOSThread()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Setns(fd, unix.CLONE_NEWNET)
		_ = unix.Close(fd) // opened for reading: nothing can be lost
	}
	if err != nil {
		return fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return nil
}
