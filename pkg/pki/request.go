package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// NodeTable is the rows of the table that belong to the node part: what a
// machine without a control plane asks a server for.
func NodeTable(cfg config.Config) []Entry {
	var table []Entry
	for _, e := range Table(cfg) {
		if slices.Contains(nodeLeaves, e.Name) {
			table = append(table, e)
		}
	}
	return table
}

// Due says why a machine has to ask for certificates, "" if it does not: one is
// missing, cannot be read, belongs to another name, is signed by an authority that
// has a successor, or has under a third of its life left. What else is in them is the server's to decide.
func Due(table []Entry, now time.Time) (string, error) {
	for _, e := range table {
		f, err := readEntry(e)
		if err != nil {
			return "", err
		}
		switch {
		case f.Chain == nil || f.Key == nil || !matches(f):
			return e.Name + " is missing", nil
		case f.Mode&0o077 != 0:
			return fmt.Sprintf("%s: mode was %04o", e.Name, f.Mode), nil
		case f.Chain[0].Subject.CommonName != e.CN:
			return e.Name + ": subject changed", nil
		case now.After(renewAt(f.Chain[0])):
			return e.Name + ": under a third of its life is left", nil
		case signedByAnother(e, f.Chain[0]):
			return e.Name + ": authority changed", nil
		case e.Usage == Serving && len(e.IPs) > 0 && !holds(f.Chain[0], e):
			return e.Name + ": the machine's addresses changed", nil
		}
	}
	return "", nil
}

// signedByAnother says whether the authority that is on disk has not signed a
// certificate. One that is not there or cannot be read has no successor either.
func signedByAnother(e Entry, c *x509.Certificate) bool {
	text, err := os.ReadFile(e.Files.CA)
	if err != nil {
		return false
	}
	chain, err := ParseChain(text)
	return err == nil && c.CheckSignatureFrom(chain[0]) != nil
}

// holds says whether a certificate has the machine's own addresses.
func holds(c *x509.Certificate, e Entry) bool {
	for _, ip := range e.IPs {
		if !ip.IsLoopback() && !slices.Contains(addresses(c.IPAddresses), ip.String()) {
			return false
		}
	}
	return true
}

// Requests makes the keys of the entries that have none, and returns a request
// for a certificate for each, PEM, by name. Keys never leave the machine; what
// a certificate says is the signer's to decide, so a request says nothing.
func Requests(table []Entry) (map[string]string, error) {
	requests := map[string]string{}
	for _, e := range table {
		f, err := readEntry(e)
		if err != nil {
			return nil, err
		}
		key := f.Key
		if key == nil || f.Mode&0o077 != 0 {
			if err := makePrivateDir(filepath.Dir(e.Files.Key)); err != nil {
				return nil, err
			}
			made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return nil, fmt.Errorf("make key of %s: %w", e.Name, err)
			}
			if err := writeKey(e.Files.Key, made); err != nil {
				return nil, err
			}
			key = made
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			return nil, fmt.Errorf("make request of %s: %w", e.Name, err)
		}
		requests[e.Name] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	}
	return requests, nil
}

// Sign issues certificates for requests, PEM chains by name. Each entry says
// what its certificate holds; of a request only the public key counts, and that
// whoever made it has the private one.
func (e *Engine) Sign(table []Entry, requests map[string]string) (signed map[string]string, err error) {
	err = e.locked(func() error { // not between an authority's certificate and its key
		signed, err = e.sign(table, requests)
		return err
	})
	return signed, err
}

func (e *Engine) sign(table []Entry, requests map[string]string) (map[string]string, error) {
	found, err := Read(e.table)
	if err != nil {
		return nil, err
	}
	i := &issuer{found: found, now: e.now(), rand: e.rand}
	signed := map[string]string{}
	for _, entry := range table {
		block, _ := pem.Decode([]byte(requests[entry.Name]))
		if block == nil || block.Type != "CERTIFICATE REQUEST" {
			return nil, fmt.Errorf("there is no request for certificate %s", entry.Name)
		}
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err == nil {
			err = request.CheckSignature()
		}
		if err != nil {
			return nil, fmt.Errorf("request for certificate %s: %w", entry.Name, err)
		}
		if _, ok := request.PublicKey.(*ecdsa.PublicKey); !ok {
			return nil, fmt.Errorf("request for certificate %s: the key is not ECDSA", entry.Name)
		}
		chain, err := i.signPublic(entry, request.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("issue certificate %s: %w", entry.Name, err)
		}
		signed[entry.Name] = string(pemChain(chain))
	}
	return signed, nil
}

// Install writes what Sign has returned, after checking that each certificate
// belongs to its key and its authority, which has to be on disk. All are
// checked before one is written.
func Install(table []Entry, signed map[string]string) error {
	for _, e := range table {
		if err := checkSigned(e, signed[e.Name]); err != nil {
			return fmt.Errorf("certificate %s: %w", e.Name, err)
		}
	}
	for _, e := range table {
		if err := atomicfile.Write(e.Files.Cert, []byte(signed[e.Name]), keyMode); err != nil {
			return err
		}
	}
	return nil
}

func checkSigned(e Entry, text string) error {
	chain, err := ParseChain([]byte(text))
	if err != nil {
		return err
	}
	f, err := readEntry(e)
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(e.Files.CA)
	if err != nil {
		return fmt.Errorf("read its authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return err
	}
	if f.Key == nil || !matches(Found{Chain: chain, Key: f.Key}) {
		return errors.New("is not for the key of this machine")
	}
	return nil
}

// WriteNodeKubeconfigs writes the kubeconfigs of the node part, for an API
// server at url.
func WriteNodeKubeconfigs(cfg config.Config, url string) error {
	return writeKubeconfigs(cfg, NodeTable(cfg), url)
}
