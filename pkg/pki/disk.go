package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Read looks at what is on disk for each entry of a table. What cannot be
// used is told in Found; only what cannot be looked at is an error.
func Read(table []Entry) (map[string]Found, error) {
	found := map[string]Found{}
	for _, e := range table {
		f, err := readEntry(e)
		if err != nil {
			return nil, err
		}
		found[e.Name] = f
	}
	return found, nil
}

func readEntry(e Entry) (Found, error) {
	var f Found
	text, err := readFile(e.Files.Cert, &f.Mode)
	if err != nil {
		return f, err
	}
	if text != nil {
		if f.Chain, err = ParseChain(text); err != nil {
			f.CertErr = fmt.Errorf("%s: %w", e.Files.Cert, err)
		}
	}
	text, err = readFile(e.Files.Key, &f.Mode)
	if err != nil {
		return f, err
	}
	if text != nil {
		if f.Key, err = ParseKey(text); err != nil {
			f.KeyErr = fmt.Errorf("%s: %w", e.Files.Key, err)
		}
	}
	return f, nil
}

// readFile returns nil for a file that does not exist, and adds its mode.
func readFile(path string, mode *fs.FileMode) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	*mode |= info.Mode().Perm()
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	if text == nil {
		text = []byte{}
	}
	return text, nil
}

// ParseChain reads the certificates of a PEM file, at least one.
func ParseChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return chain, nil
}

// ParseKey reads the private key of a PEM file, in any of the usual forms:
// users bring authorities of their own.
func ParseKey(text []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("there is no private key in it")
		}
		switch block.Type {
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			signer, ok := key.(crypto.Signer)
			if !ok {
				return nil, fmt.Errorf("a %T cannot sign", key)
			}
			return signer, nil
		}
	}
}
