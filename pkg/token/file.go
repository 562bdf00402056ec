package token

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Configured is the token that the configuration gives; ok is false when it
// gives none.
func Configured(cfg config.Config) (t Token, ok bool, err error) {
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
	if t.Role == Agent {
		return Token{}, false, fmt.Errorf("what %s holds is an agent's token: a server needs a server's", from)
	}
	return t, true, nil
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
	if !want.Matches(have) {
		return fmt.Errorf("the configured token is not the cluster's, which is in %s: remove token and tokenFile from the configuration, or set the cluster's", path)
	}
	return nil
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
	t := New(hash, Server)
	if want, configured, err := Configured(cfg); err != nil {
		return err
	} else if configured {
		if want.Hash != "" && want.Hash != hash {
			return fmt.Errorf("the configured token is another cluster's: its authority has hash %.12s…, this one's %.12s…; set the secret alone", want.Hash, hash)
		}
		t.Secret = want.Secret
	}
	if err := atomicfile.Write(path, []byte(t.Text()+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the cluster's token: %w", err)
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
	return HashOf(chain[0]), nil
}
