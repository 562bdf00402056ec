package token

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Given is the token that the configuration gives; ok is false when it gives
// none.
func Given(cfg config.Config) (t Token, ok bool, err error) {
	text, from := cfg.Token, "token"
	if cfg.TokenFile != "" {
		from = "tokenFile " + cfg.TokenFile
		content, err := os.ReadFile(cfg.TokenFile)
		if err != nil {
			return Token{}, false, fmt.Errorf("read tokenFile: %w", err)
		}
		text = string(content)
	} else if text == "" {
		return Token{}, false, nil
	}
	if t, err = Parse(text); err != nil {
		return Token{}, false, fmt.Errorf("what %s holds %w", from, err)
	}
	return t, true, nil
}

// Configured is the token that the configuration gives a server.
func Configured(cfg config.Config) (t Token, ok bool, err error) {
	if t, ok, err = Given(cfg); err == nil && t.Role == Agent {
		return Token{}, false, errors.New("the configured token is an agent's token: a server needs a server's")
	}
	return t, ok, err
}

// stored reads the cluster's server token; ok is false before the first start.
func stored(path string) (t Token, ok bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Token{}, false, nil
	}
	if err != nil {
		return Token{}, false, fmt.Errorf("read the cluster's token: %w", err)
	}
	if t, err = Parse(string(text)); err != nil {
		return Token{}, false, fmt.Errorf("what %s holds %w; restore it from a backup, or remove it to get a new token", path, err)
	}
	return t, true, nil
}

// Check refuses a configured token that cannot be read, or that is not the
// cluster's. It changes nothing.
func Check(cfg config.Config) error {
	path := cfg.Paths().TokenFile
	want, configured, err := Configured(cfg)
	if err != nil {
		return err
	}
	have, exists, err := stored(path)
	if err != nil || !configured || !exists {
		return err
	}
	if joined(cfg) {
		return nil
	}
	if !want.Matches(have) {
		return fmt.Errorf("the configured token is not the cluster's, which is in %s: remove token and tokenFile from the configuration, or set the cluster's", path)
	}
	return nil
}

// joined says whether the token that the configuration may give has let this
// server in, and need not be the cluster's own: it may have been made for that,
// and is of no use any more.
func joined(cfg config.Config) bool {
	_, err := os.Stat(cfg.Paths().ClusterFile)
	return err == nil
}

// Ensure writes the cluster's server token, if there is none yet: with the
// configured secret, or with a random one. The authorities have to exist.
func Ensure(cfg config.Config) error {
	if err := Check(cfg); err != nil {
		return err
	}
	path := cfg.Paths().TokenFile
	if _, exists, err := stored(path); err != nil || exists {
		return err
	}
	hash, err := clusterHash(cfg)
	if err != nil {
		return err
	}
	t := New(hash, Server, string(Server))
	if want, configured, err := Configured(cfg); err != nil {
		return err
	} else if configured {
		if want.Hash != "" && want.Hash != hash {
			return fmt.Errorf("the configured token is another cluster's: its authority has hash %.12s…, this one's %.12s…; set the secret alone", want.Hash, hash)
		}
		t.Secret = want.Secret
	}
	// The agents' token first: when the server's is there, both are.
	if err := writeFile(cfg.Paths().AgentTokenFile, New(hash, Agent, string(Agent))); err != nil {
		return err
	}
	return writeFile(path, t)
}

func writeFile(path string, t Token) error {
	if err := atomicfile.Write(path, []byte(t.Text()+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the cluster's token: %w", err)
	}
	return nil
}

// Rotate gives the cluster's own token of a role a new secret, and returns the
// file that holds it. Machines that have joined need no token any more.
func Rotate(ctx context.Context, cfg config.Config, store *Store, role Role, now time.Time) (path string, err error) {
	if role == Server && (cfg.Token != "" || cfg.TokenFile != "") && !joined(cfg) {
		return "", errors.New("the configuration gives the server token: remove token and tokenFile from it first, the cluster keeps its token in a file")
	}
	path = fileOf(cfg, role)
	if _, exists, err := stored(path); err != nil {
		return "", err
	} else if !exists {
		return "", fmt.Errorf("there is no token in %s: kelp server writes it at its first start", path)
	}
	hash, err := clusterHash(cfg)
	if err != nil {
		return "", err
	}
	t := New(hash, role, string(role))
	// The record first: from here on the old secret lets nobody in.
	record, err := ownRecord(cfg, t, now)
	if err != nil {
		return "", err
	}
	if err := store.Put(ctx, record); err != nil {
		return "", err
	}
	return path, writeFile(path, t)
}

// Publish makes the records of the tokens that are in this server's files,
// where the cluster has none. It tries until it can, or until ctx ends.
func Publish(ctx context.Context, cfg config.Config, store *Store, now time.Time) error {
	for _, path := range []string{cfg.Paths().TokenFile, cfg.Paths().AgentTokenFile} {
		t, exists, err := stored(path)
		if err != nil {
			return err
		}
		if !exists {
			continue
		}
		record, err := ownRecord(cfg, t, now)
		if err != nil {
			return err
		}
		if err := poll.Forever(ctx, func(ctx context.Context) error { return store.create(ctx, record) }); err != nil {
			return err
		}
	}
	return nil
}

func clusterHash(cfg config.Config) (string, error) {
	path := pki.AuthorityFiles(cfg.Paths(), pki.ServerCA).Cert
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the cluster's authority: %w", err)
	}
	chain, err := pki.ParseChain(text)
	if err != nil {
		return "", fmt.Errorf("read the cluster's authority %s: %w", path, err)
	}
	return pki.HashOf(pki.Founder(chain)), nil
}
