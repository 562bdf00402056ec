package flags

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Health asks a component on loopback how it is, over TLS that is checked
// against the authority of serving certificates.
type Health struct {
	Address    string // host:port
	Path       string // /healthz
	CAFile     string
	ServerName string // a name in the serving certificate
}

// Check is nil when the component answers that it is well.
func (h Health) Check(ctx context.Context) error {
	pem, err := os.ReadFile(h.CAFile)
	if err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := http.Client{
		Timeout: 2 * time.Second, // an answer takes a millisecond
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: h.ServerName, MinVersion: tls.VersionTLS12},
			DialContext:       (&net.Dialer{}).DialContext,
			DisableKeepAlives: true,
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+h.Address+h.Path, nil)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return fmt.Errorf("read health: %w", err)
	}
	return fmt.Errorf("%s is %s: %s", h.Path, response.Status, body)
}
