package apiserver

import (
	"bytes"
	"crypto/tls"
	"sync"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// pairs keeps parsed certificates, as parsing one costs as much as half a
// handshake. It is safe for concurrent use.
type pairs struct {
	mu     sync.Mutex
	parsed map[dynamiccertificates.SNICertKeyContentProvider]pair
}

type pair struct {
	cert, key []byte
	parsed    *tls.Certificate
}

func newPairs() *pairs {
	return &pairs{parsed: map[dynamiccertificates.SNICertKeyContentProvider]pair{}}
}

// of returns the provider's certificate of now. One that cannot be parsed
// is nil: the listener then serves its own.
func (p *pairs) of(provider dynamiccertificates.SNICertKeyContentProvider) *tls.Certificate {
	cert, key := provider.CurrentCertKeyContent()
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.parsed[provider]
	if known.parsed != nil && bytes.Equal(known.cert, cert) && bytes.Equal(known.key, key) {
		return known.parsed
	}
	parsed, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil
	}
	p.parsed[provider] = pair{cert: cert, key: key, parsed: &parsed}
	return &parsed
}
