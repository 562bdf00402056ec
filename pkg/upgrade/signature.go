package upgrade

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
)

// signed is nil when the signature is that of the key in a PEM file over what has
// the SHA-256 sum: as openssl dgst -sha256 -sign makes it.
func signed(keyFile string, signature []byte, sum string) error {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("read the public key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("read the public key: %s holds no PEM", keyFile)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("read the public key %s: %w", keyFile, err)
	}
	digest, err := hex.DecodeString(sum)
	if err != nil {
		return fmt.Errorf("read the checksum: %w", err)
	}
	good := false
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(k, digest, signature)
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, signature) == nil
	default:
		return fmt.Errorf("the public key %s is a %T: kelp takes ECDSA and RSA", keyFile, key)
	}
	if !good {
		return fmt.Errorf("the program is not signed by the key in %s", keyFile)
	}
	return nil
}
