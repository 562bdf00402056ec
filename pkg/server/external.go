package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/token"
)

// tellEvery is how often it is told what is waited for.
const tellEvery = 10 * time.Second

// settleExternal has this server be of the cluster that is in the external
// datastore. It waits for that, as long as it takes.
func settleExternal(ctx context.Context, cfg config.Config) error {
	ds := datastore.New(cfg)
	running, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	defer done.Wait()
	defer stop()
	done.Go(func() {
		if err := ds.Run(running); err != nil {
			log.G(ctx).WithError(err).Error("the external datastore is not served")
		}
	})
	var told time.Time
	if err := poll.Forever(ctx, func(ctx context.Context) error {
		err := ds.Ready(ctx)
		if err != nil && time.Since(told) >= tellEvery {
			told = time.Now()
			process.NotifyWaiting("waiting for the external datastore", 3*tellEvery)
			log.G(ctx).WithError(err).Info("waiting for the external datastore")
		}
		return err
	}); err != nil {
		return err
	}
	client, err := ds.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := join.Share(ctx, cfg, client, func(ctx context.Context) error {
		if err := pki.New(cfg).Ensure(ctx); err != nil {
			return err
		}
		return token.Ensure(cfg)
	}); err != nil {
		return err
	}
	file := cfg.Paths().ExternalFile
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("note where the data is: %w", err)
	}
	_, err = atomicfile.WriteIfChanged(file, []byte("This server's data is in an external datastore: datastore.endpoint in its configuration.\n"), 0o600)
	return err
}
