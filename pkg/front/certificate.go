package front

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/log"
)

// certificate is a key pair on disk that is read again when its files have
// changed. It is safe for concurrent use.
type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	current *tls.Certificate
	stamp   stamp
}

// stamp tells two states of the files apart. Looking costs two stat calls
// for each handshake, which costs a hundred times more by itself.
type stamp struct {
	cert, key         time.Time
	certSize, keySize int64
}

// get returns the certificate in the files. When they cannot be read, which
// is so for a moment while they are replaced, the last good one stays.
func (c *certificate) get(ctx context.Context) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.look()
	if err == nil && c.current != nil && now == c.stamp {
		return c.current, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile)
	}
	switch {
	case err == nil:
		if c.current != nil {
			log.G(ctx).WithField("path", c.certFile).Info("serving a renewed certificate")
		}
		c.current, c.stamp = &pair, now
	case c.current == nil:
		return nil, fmt.Errorf("load serving certificate: %w", err)
	default:
		log.G(ctx).WithError(err).WithField("path", c.certFile).Warn("keeping the last serving certificate")
	}
	return c.current, nil
}

func (c *certificate) look() (stamp, error) {
	cert, err := os.Stat(c.certFile)
	if err != nil {
		return stamp{}, err
	}
	key, err := os.Stat(c.keyFile)
	if err != nil {
		return stamp{}, err
	}
	return stamp{cert: cert.ModTime(), key: key.ModTime(), certSize: cert.Size(), keySize: key.Size()}, nil
}
