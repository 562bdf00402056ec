package join

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/argon2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/pki"
)

// The cost of the key that a bundle is sealed with: 64 MiB and about 100 ms, as
// the authors of Argon2 suggest for what is derived once. The secret may be one
// that a person chose.
const (
	sealTime    = 3
	sealMemory  = 64 << 10 // KiB
	sealThreads = 2
	sealSalt    = 16
	sealKey     = 32
)

// errSealed is all that is told of a bundle that cannot be opened.
var errSealed = errors.New("the server's keys cannot be opened with this token's secret")

// bundleFiles are what every server of a cluster has: its authorities and the
// keys of its service accounts and tokens, by the names under which they travel.
func bundleFiles(p config.Paths) map[string]string {
	private, public := pki.ServiceAccountFiles(p)
	files := map[string]string{"service-account.key": private, "service-account.pub": public, "token": p.TokenFile, "agent-token": p.AgentTokenFile}
	for _, name := range pki.AuthorityNames {
		f := pki.AuthorityFiles(p, name)
		files[name+".crt"], files[name+".key"] = f.Cert, f.Key
	}
	return files
}

// newSalt makes a salt for one bundle.
func newSalt() []byte {
	salt := make([]byte, sealSalt)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the process first
	return salt
}

// seal reads this server's files and encrypts them for whoever has the secret. A
// salt that is none is replaced by a new one.
func seal(p config.Paths, secret string, salt []byte) ([]byte, error) {
	if len(salt) != sealSalt {
		salt = newSalt()
	}
	contents := map[string][]byte{}
	for name, path := range bundleFiles(p) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the cluster's keys: %w", err)
		}
		contents[name] = text
	}
	plain, err := json.Marshal(contents)
	if err != nil {
		return nil, fmt.Errorf("encode the cluster's keys: %w", err)
	}
	box, err := boxOf(secret, salt)
	if err != nil {
		return nil, err
	}
	return box.Seal(bytes.Clone(salt), nil, plain, salt), nil
}

// open is the opposite of seal.
func open(sealed []byte, secret string) (map[string][]byte, error) {
	return openWith(sealed, func(salt []byte) (cipher.AEAD, error) { return boxOf(secret, salt) })
}

// opener opens bundles with a secret. The key of one salt, which a server is asked to
// use, is derived once, by whoever calls own first.
type opener struct {
	secret string
	salt   []byte
	own    func() (cipher.AEAD, error)
}

func newOpener(secret string) *opener {
	salt := newSalt()
	return &opener{secret: secret, salt: salt, own: sync.OnceValues(func() (cipher.AEAD, error) { return boxOf(secret, salt) })}
}

// open opens a bundle, whoever has chosen its salt.
func (o *opener) open(sealed []byte) (map[string][]byte, error) {
	return openWith(sealed, func(salt []byte) (cipher.AEAD, error) {
		if bytes.Equal(salt, o.salt) {
			return o.own()
		}
		return boxOf(o.secret, salt)
	})
}

func openWith(sealed []byte, boxFor func(salt []byte) (cipher.AEAD, error)) (map[string][]byte, error) {
	if len(sealed) < sealSalt {
		return nil, errSealed
	}
	salt := sealed[:sealSalt]
	box, err := boxFor(salt)
	if err != nil {
		return nil, err
	}
	plain, err := box.Open(nil, nil, sealed[sealSalt:], salt)
	if err != nil {
		return nil, errSealed
	}
	var contents map[string][]byte
	if err := json.Unmarshal(plain, &contents); err != nil {
		return nil, fmt.Errorf("decode the cluster's keys: %w", err)
	}
	return contents, nil
}

// boxOf derives a key and returns the cipher, which puts a random nonce before
// what it seals.
func boxOf(secret string, salt []byte) (cipher.AEAD, error) {
	if secret == "" {
		return nil, errors.New("an empty secret protects nothing")
	}
	block, err := aes.NewCipher(argon2.IDKey([]byte(secret), salt, sealTime, sealMemory, sealThreads, sealKey))
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return box, nil
}

// install writes what a bundle holds, all or what a later try writes again.
func install(p config.Paths, contents map[string][]byte) error {
	files := bundleFiles(p)
	for name := range files {
		if len(contents[name]) == 0 {
			return fmt.Errorf("the cluster's keys lack %s", name)
		}
	}
	for name, path := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("write the cluster's keys: %w", err)
		}
		if err := atomicfile.Write(path, contents[name], 0o600); err != nil {
			return fmt.Errorf("write the cluster's keys: %w", err)
		}
	}
	return nil
}

// Keys are what every server of a cluster has, by the names under which they
// travel.
type Keys map[string][]byte

// Unseal opens what Seal has sealed.
func Unseal(sealed []byte, secret string) (Keys, error) { return open(sealed, secret) }

// Install writes the keys to a machine that has none.
func (k Keys) Install(p config.Paths) error { return install(p, k) }

// Uninstall removes them again, from a machine that had none.
func Uninstall(p config.Paths) error {
	for _, path := range bundleFiles(p) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the cluster's keys again: %w", err)
		}
	}
	return nil
}

// HasKeys says whether this machine has a cluster's keys.
func HasKeys(p config.Paths) (bool, error) {
	_, err := os.Stat(pki.AuthorityFiles(p, pki.ServerCA).Key)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("look for the cluster's keys: %w", err)
	}
	return err == nil, nil
}
