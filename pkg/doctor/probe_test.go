package doctor

import (
	"bytes"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Whoever looks at a node must not leave lines in its log.
func TestDialLeavesNoTrace(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(&logged, "", 0)
	over := make(chan struct{})
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(over)
		}
	}
	server.StartTLS()
	address := server.Listener.Addr().String()
	if err := dial(t.Context(), address); err != "" {
		t.Errorf("a server that answers: %s", err)
	}
	<-over
	if logged.Len() > 0 {
		t.Errorf("it has logged %q", &logged)
	}
	server.Close()
	if err := dial(t.Context(), address); err == "" {
		t.Error("a server that is gone was reached")
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() { // what knows no TLS was reached, too
		if conn, err := other.Accept(); err == nil {
			_ = conn.Close()
		}
	}()
	if err := dial(t.Context(), other.Addr().String()); err != "" {
		t.Errorf("a server without TLS: %s", err)
	}
}
