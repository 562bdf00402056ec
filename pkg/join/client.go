package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
)

// requestTimeout bounds one request: the server holds it for five seconds
// while it starts.
const requestTimeout = 15 * time.Second

// RefusedError is a server's answer that trying again does not change.
type RefusedError struct {
	Server string
	Status int
	Text   string
}

// Error is what the server said.
func (e *RefusedError) Error() string { return fmt.Sprintf("server %s: %s", e.Server, e.Text) }

// ErrAuthority is returned when a server is not of the cluster that the token
// is for.
var ErrAuthority = errors.New("its authority is not the one that the token is for: the address is another cluster's, or somebody is in between")

// Client speaks to one server whose authority is known.
type Client struct {
	server string
	bearer string // empty: the certificate says who this is
	http   *http.Client
}

// Authority asks a server for its serving authority, PEM, and returns what the one
// that the token names vouches for. Nothing secret is sent. A token without a hash trusts
// whom it reaches, and trusted is false.
func Authority(ctx context.Context, server string, t token.Token) (text []byte, trusted bool, err error) {
	// What is read here is compared below, and used for nothing else before.
	insecure := &http.Client{Timeout: requestTimeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer insecure.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+server+"/cacerts", nil)
	if err != nil {
		return nil, false, fmt.Errorf("ask server %s for its authority: %w", server, err)
	}
	res, err := insecure.Do(req)
	if err != nil {
		return nil, false, fmt.Errorf("ask server %s for its authority: %w", server, err)
	}
	defer res.Body.Close()
	text, err = io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, false, fmt.Errorf("ask server %s for its authority: %s, %w", server, res.Status, err)
	}
	chain, err := pki.ParseChain(text)
	if err != nil {
		return nil, false, fmt.Errorf("server %s: its authority: %w", server, err)
	}
	if t.Hash == "" {
		return text, false, nil
	}
	if text = pki.VouchedFor(chain, t.Hash); text == nil {
		return nil, false, fmt.Errorf("server %s: %w", server, ErrAuthority)
	}
	return text, true, nil
}

// NewClient returns a client that trusts the authority alone. It identifies
// itself with the token, or where that is empty with the certificate.
func NewClient(server string, authority []byte, t token.Token, certificate *tls.Certificate) (*Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("the cluster's authority holds no certificate")
	}
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if certificate != nil && t.Secret == "" {
		cfg.Certificates = []tls.Certificate{*certificate}
	}
	return &Client{server: server, bearer: t.Text(), http: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{TLSClientConfig: cfg}}}, nil
}

// Close closes connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Cluster asks what the cluster is.
func (c *Client) Cluster(ctx context.Context) (Cluster, error) {
	var answer Cluster
	return answer, c.do(ctx, http.MethodGet, clusterPath, nil, &answer)
}

// Node asks for a node's certificates.
func (c *Client) Node(ctx context.Context, want NodeRequest) (NodeResponse, error) {
	var answer NodeResponse
	return answer, c.do(ctx, http.MethodPost, nodePath, want, &answer)
}

// Peer asks for what a server of the cluster needs.
func (c *Client) Peer(ctx context.Context, want PeerRequest) (PeerResponse, error) {
	var answer PeerResponse
	return answer, c.do(ctx, http.MethodPost, peerPath, want, &answer)
}

func (c *Client) do(ctx context.Context, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("ask server %s: %w", c.server, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+c.server+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("ask server %s: %w", c.server, err)
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask server %s: %w", c.server, err)
	}
	defer res.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("ask server %s: %w", c.server, err)
	}
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(reply, answer); err != nil {
			return fmt.Errorf("read the answer of server %s: %w", c.server, err)
		}
		return nil
	}
	var said struct{ Error, Message string }
	_ = json.Unmarshal(reply, &said) // another program's answer has no text
	reason := said.Error + said.Message
	if reason == "" {
		reason = res.Status
	}
	switch res.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return &RefusedError{Server: c.server, Status: res.StatusCode, Text: reason}
	case http.StatusNotFound:
		return &RefusedError{Server: c.server, Status: res.StatusCode, Text: "does not take machines: it is no kelp server, or an older one"}
	}
	return fmt.Errorf("server %s: %s", c.server, reason)
}
