package encryption

import (
	"context"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/containerd/log"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/pki"
)

// again is the pause before what failed is tried again, and how often a change
// that waits for servers is looked at.
const again = 2 * time.Second

// Options are what encryption is made from.
type Options struct {
	Paths config.Paths
	// Address names this server among those that Servers returns.
	Address string
	// Store connects to the datastore.
	Store func(urls ...string) (*clientv3.Client, error)
	// Loaded is the hash, as Hash makes it, of the file that this server's API
	// has loaded, "" if it has not.
	Loaded func() (string, error)
	// Servers are the addresses of those whose API runs.
	Servers func(context.Context) ([]string, error)
	// API connects to the API.
	API func() (kubernetes.Interface, error)
}

// Encryption keeps the API server's file at what the datastore says. It is safe
// for concurrent use.
type Encryption struct {
	opts  Options
	state atomic.Pointer[State] // as it was last seen
}

// New returns one that has done nothing yet.
func New(opts Options) *Encryption { return &Encryption{opts: opts} }

// Hash is how the API server names a file's content.
func Hash(text []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(text)) }

func boxFor(p config.Paths) (cipher.AEAD, error) { return pki.ServersBox(p, "the keys of Secrets") }

// Ensure writes the API server's file, before that starts. The first server of a
// cluster makes the first key.
func (e *Encryption) Ensure(ctx context.Context) error {
	client, err := e.opts.Store()
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		s, ok, err := load(ctx, client)
		if err == nil && !ok {
			err = e.begin(ctx, client)
			if errors.Is(err, errRaced) || err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		_, err = e.write(s)
		return err
	}
}

// begin makes the first key. Where there are Secrets already, as in a cluster of a
// time before, other servers may run that do not know it yet.
func (e *Encryption) begin(ctx context.Context, client *clientv3.Client) error {
	box, err := boxFor(e.opts.Paths)
	if err != nil {
		return err
	}
	res, err := client.Get(ctx, secrets, clientv3.WithPrefix(), clientv3.WithLimit(1))
	if err != nil {
		return fmt.Errorf("look for Secrets: %w", err)
	}
	s := State{Stage: Settled}
	if name := s.add(box, time.Now()); len(res.Kvs) == 0 {
		s.Write = name
	} else {
		s.Next, s.Stage = name, Spreading
	}
	return s.store(ctx, client)
}

// write writes the file for a state and returns its hash.
func (e *Encryption) write(s State) (hash string, err error) {
	box, err := boxFor(e.opts.Paths)
	if err != nil {
		return "", err
	}
	text, err := s.file(box)
	if err != nil {
		return "", err
	}
	path := e.opts.Paths.Encryption
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("write the keys of Secrets: %w", err)
	}
	if _, err := atomicfile.WriteIfChanged(path, text, 0o600); err != nil {
		return "", fmt.Errorf("write the keys of Secrets: %w", err)
	}
	e.state.Store(&s)
	return Hash(text), nil
}

// Run keeps the file at what the datastore says, and says there what the API has
// loaded, until ctx ends.
func (e *Encryption) Run(ctx context.Context) error {
	e.tend(ctx, "the keys of Secrets are not followed", stateKey, func(ctx context.Context, client *clientv3.Client) (done bool, err error) {
		s, ok, err := load(ctx, client)
		switch {
		case err != nil:
			return false, err
		case !ok: // by an older kelp's restore
			return false, e.begin(ctx, client)
		}
		hash, err := e.write(s)
		if err != nil {
			return false, err
		}
		if has, err := e.opts.Loaded(); err != nil || has != hash {
			return false, err // it looks at the file every few seconds
		}
		return true, noteLoaded(ctx, client, e.opts.Address, hash)
	})
	return nil
}

// Lead has changes go on, on one server of the cluster, until ctx ends.
func (e *Encryption) Lead(ctx context.Context) error {
	api, err := e.opts.API()
	if err != nil {
		return err
	}
	e.tend(ctx, "Secrets are not written with their new key yet", own, func(ctx context.Context, client *clientv3.Client) (done bool, err error) {
		return e.step(ctx, client, api)
	})
	return nil
}

// tend calls do at first, whenever something below key has changed, and again
// while it is not done.
func (e *Encryption) tend(ctx context.Context, problem, key string, do func(context.Context, *clientv3.Client) (done bool, err error)) {
	for ctx.Err() == nil {
		if err := e.watch(ctx, key, do); err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).WithField("next", again).Warn(problem)
			poll.Pause(ctx, again)
		}
	}
}

func (e *Encryption) watch(ctx context.Context, key string, do func(context.Context, *clientv3.Client) (done bool, err error)) error {
	client, err := e.opts.Store()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Before anything is read, so that no change is missed.
	changes := client.Watch(clientv3.WithRequireLeader(ctx), key, clientv3.WithPrefix())
	for {
		done, err := do(ctx, client)
		if err != nil {
			return err
		}
		var later <-chan time.Time
		if !done {
			later = time.After(again)
		}
		select {
		case <-ctx.Done():
			return nil
		case c, ok := <-changes:
			if err := c.Err(); err != nil || !ok {
				return errors.Join(errors.New("the watch of the keys of Secrets has ended"), err)
			}
		case <-later:
		}
	}
}

// Tell is what status says of it.
func (e *Encryption) Tell() string {
	if s := e.state.Load(); s != nil {
		return tell(*s)
	}
	return ""
}

func tell(s State) string {
	switch {
	case s.Stage == Settled && s.Write == "":
		return "Secrets are not encrypted"
	case s.Stage == Settled:
		return "Secrets are encrypted with key " + s.Write
	case s.Problem != "":
		return string(s.Stage) + ": " + s.Problem
	case s.Stage == Spreading:
		return "all servers learn key " + s.Next
	}
	return "Secrets are written anew"
}
