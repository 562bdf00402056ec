package datastore

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// probeTimeout is how long one probe may take: a read takes a millisecond,
// and a datastore that needs two seconds for one is not ready.
const probeTimeout = 2 * time.Second

// Client returns a new client of the endpoint, which the caller closes. It
// does not connect before it is used. A lost connection is retried quickly,
// as the datastore is on this machine.
func (e Endpoint) Client() (*clientv3.Client, error) {
	cfg := clientv3.Config{
		Endpoints:            e.URLs,
		DialTimeout:          probeTimeout,
		DialKeepAliveTime:    30 * time.Second,
		DialKeepAliveTimeout: 10 * time.Second,
		Logger:               zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: time.Second},
			MinConnectTimeout: probeTimeout,
		})},
	}
	tlsConfig, err := e.tls()
	if err != nil {
		return nil, err
	}
	cfg.TLS = tlsConfig
	client, err := clientv3.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client of datastore %v: %w", e.URLs, err)
	}
	return client, nil
}

func (e Endpoint) tls() (*tls.Config, error) {
	if e.CertFile == "" && e.CAFile == "" {
		if len(e.URLs) > 0 && strings.HasPrefix(e.URLs[0], "https://") {
			return &tls.Config{MinVersion: tls.VersionTLS12}, nil // the machine's own authorities
		}
		return nil, nil
	}
	info := transport.TLSInfo{CertFile: e.CertFile, KeyFile: e.KeyFile, TrustedCAFile: e.CAFile}
	cfg, err := info.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("load certificates for datastore %v: %w", e.URLs, err)
	}
	return cfg, nil
}

// Probe is nil when the datastore behind the client answers a linearizable
// read. It reads the key that the API's own health check reads.
func Probe(ctx context.Context, client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if _, err := client.Get(ctx, "/registry/health"); err != nil {
		return fmt.Errorf("read from datastore: %w", err)
	}
	return nil
}
