package front

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/latest"
)

// seen returns the common name of the certificate that a client with the
// server name sees.
func seen(t *testing.T, f fixture, serverName string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", f.Addr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: serverName})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestAStrangersNameChangesNothing(t *testing.T) {
	t.Parallel()
	cert, key := pair(t, "loopback")
	own, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, latest.Of(API{
		Handler: http.NotFoundHandler(), Context: context.Background(),
		Certificate: func(name string) *tls.Certificate {
			if name == LoopbackName {
				return &own
			}
			return nil
		},
	}))
	for name, want := range map[string]string{
		"": "first", "localhost": "first", "evil.example": "first", "kubernetes": "first", LoopbackName: "loopback",
	} {
		if got := seen(t, f, name); got != want {
			t.Errorf("for %q the certificate is %s, want %s", name, got, want)
		}
	}
}

func TestARenewedCertificateIsServed(t *testing.T) {
	t.Parallel()
	f := start(t, latest.New[API]())
	if got := seen(t, f, "localhost"); got != "first" {
		t.Fatalf("certificate %s", got)
	}
	f.write("second")
	if got := seen(t, f, "localhost"); got != "second" {
		t.Errorf("after the renewal the certificate is %s", got)
	}
}

func TestTheUsersTLSArgumentsApply(t *testing.T) {
	t.Parallel()
	f := start(t, latest.Of(API{Handler: http.NotFoundHandler(), Context: context.Background(), MinVersion: tls.VersionTLS13}))
	_, err := tls.Dial("tcp", f.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	if got := seen(t, f, "localhost"); got != "first" {
		t.Errorf("certificate %s", got)
	}
	old := start(t, latest.New[API]())
	if _, err := tls.Dial("tcp", old.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}

// TestClientsThatSayNothingAreCut covers a handshake that never begins and a
// header that never ends.
func TestClientsThatSayNothingAreCut(t *testing.T) {
	t.Parallel()
	f := start(t, serving(func(http.ResponseWriter, *http.Request) {}), func(f *Front) { f.patience = 200 * time.Millisecond })
	silent, err := net.Dial("tcp", f.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	slow, err := tls.Dial("tcp", f.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(slow, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]net.Conn{"silent handshake": silent, "slow header": slow} {
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := io.ReadAll(conn)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: cut after %s: %v", name, took, err)
		}
		_ = conn.Close()
	}
}
