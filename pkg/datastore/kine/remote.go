package kine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/log"
)

// The pace of trying a database that does not answer, and of telling so.
const (
	retryEvery = time.Second
	tellEvery  = 10 * time.Second
)

// runRemote serves a database that may not be there yet: it is waited for.
func (s *Store) runRemote(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(s.opts.Socket), 0o700); err != nil {
		return fmt.Errorf("make directory of the datastore's socket: %w", err)
	}
	var told time.Time
	for {
		l, err := s.listen(ctx)
		if err == nil {
			<-ctx.Done()
			l.stop()
			return nil
		}
		if time.Since(told) >= tellEvery {
			told = time.Now()
			log.G(ctx).WithError(err).WithField("next", retryEvery).Warn("waiting for the external datastore")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryEvery):
		}
	}
}
