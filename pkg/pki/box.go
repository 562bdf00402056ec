package pki

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/kelp-project/kelp/pkg/config"
)

// ServersBox is a cipher that this cluster's servers have in common, for what one
// of them leaves where others find it: each has the key that signs the tokens of
// service accounts, and nobody else; it outlives the authorities. The purpose gives
// each use a key of its own. It puts a random nonce before what it seals.
func ServersBox(p config.Paths, purpose string) (cipher.AEAD, error) {
	private, _ := ServiceAccountFiles(p)
	secret, err := os.ReadFile(private)
	if err != nil {
		return nil, fmt.Errorf("read the key that the cluster's servers have in common: %w", err)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "kelp: "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return box, nil
}
