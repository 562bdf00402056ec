package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

const (
	keyMode = 0o600
	dirMode = 0o700
)

// issuer applies a plan.
type issuer struct {
	found map[string]Found
	now   time.Time
	rand  io.Reader
}

// applyAll issues certificates that do not sign each other, side by side: most
// of the time goes into waiting for the disk. Those that could be issued are
// kept when others could not.
func (i *issuer) applyAll(plan []Action) error {
	made := make([]Found, len(plan))
	var work errgroup.Group
	for n, a := range plan {
		work.Go(func() (err error) {
			made[n], err = i.apply(a)
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	for n, a := range plan {
		i.found[a.Entry.Name] = made[n]
	}
	return nil
}

// apply issues one certificate. The key is written first, and one that is
// there and good is kept: whoever reads between the two writes meets the old
// pair, or a pair that does not match and that every reader of ours refuses
// and reads again.
func (i *issuer) apply(a Action) (Found, error) {
	e := a.Entry
	for _, dir := range []string{filepath.Dir(e.Files.Cert), filepath.Dir(e.Files.Key)} {
		if err := makePrivateDir(dir); err != nil {
			return Found{}, err
		}
	}
	key := i.found[e.Name].Key
	if key == nil || a.NewKey {
		made, err := ecdsa.GenerateKey(elliptic.P256(), i.rand)
		if err != nil {
			return Found{}, fmt.Errorf("make key of %s: %w", e.Name, err)
		}
		if err := writeKey(e.Files.Key, made); err != nil {
			return Found{}, err
		}
		key = made
	}
	chain, err := i.sign(e, key)
	if err != nil {
		return Found{}, fmt.Errorf("issue certificate %s: %w", e.Name, err)
	}
	if err := atomicfile.Write(e.Files.Cert, pemChain(chain), keyMode); err != nil {
		return Found{}, err
	}
	return Found{Chain: chain, Key: key, Mode: keyMode}, nil
}

// sign makes the certificate, followed by the intermediate authorities that
// lead to the root. An authority signs itself.
func (i *issuer) sign(e Entry, key crypto.Signer) ([]*x509.Certificate, error) {
	if e.Usage != Authority {
		return i.signPublic(e, key.Public())
	}
	template, err := i.template(e)
	if err != nil {
		return nil, err
	}
	return i.create(template, template, key.Public(), key)
}

// signPublic makes a leaf for a key of which the private part may be on
// another machine.
func (i *issuer) signPublic(e Entry, public crypto.PublicKey) ([]*x509.Certificate, error) {
	template, err := i.template(e)
	if err != nil {
		return nil, err
	}
	authority := i.found[e.Signer]
	if authority.Key == nil || authority.Chain == nil {
		return nil, fmt.Errorf("authority %s is not there", e.Signer)
	}
	parent := authority.Chain[0]
	var intermediates []*x509.Certificate
	for _, c := range authority.Chain {
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			intermediates = append(intermediates, c)
		}
	}
	// Nobody accepts a leaf that outlives its authority.
	if template.NotAfter.After(parent.NotAfter) {
		template.NotAfter = parent.NotAfter
	}
	return i.create(template, parent, public, authority.Key, intermediates...)
}

func (i *issuer) create(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer, intermediates ...*x509.Certificate) ([]*x509.Certificate, error) {
	der, err := x509.CreateCertificate(i.rand, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return append([]*x509.Certificate{c}, intermediates...), nil
}

func (i *issuer) template(e Entry) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	if _, err := io.ReadFull(i.rand, serial); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	serial[0] &= 0x7f // a serial number is positive
	c := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		Subject:               pkix.Name{CommonName: e.CN, Organization: e.Groups},
		NotBefore:             i.now.Add(-backdate).UTC(),
		NotAfter:              i.now.Add(e.Life).UTC(),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           extKeyUsage(e.Usage),
		DNSNames:              e.DNS,
		BasicConstraintsValid: true,
	}
	if e.Usage == Authority {
		c.NotBefore = i.now.Add(-authorityBackdate).UTC()
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature
		// Two clusters' authorities must not have one name: clients that
		// know both would try the wrong one.
		c.Subject.CommonName = fmt.Sprintf("%s@%d", e.CN, i.now.Unix())
	}
	for _, a := range e.IPs {
		c.IPAddresses = append(c.IPAddresses, net.IP(a.AsSlice()))
	}
	return c, nil
}

// ensureServiceAccountKey makes the key pair that signs the tokens of
// service accounts, if there is none.
func ensureServiceAccountKey(private, public string, rand io.Reader) error {
	text, err := os.ReadFile(private)
	var key crypto.Signer
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand); err != nil {
			return fmt.Errorf("make service account key: %w", err)
		}
		if err := makePrivateDir(filepath.Dir(private)); err != nil {
			return err
		}
		if err := writeKey(private, key); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("read service account key: %w", err)
	default:
		if key, err = ParseKey(text); err != nil {
			return fmt.Errorf("service account key %s: %w; restore it from a backup: without it every token in the cluster is void", private, err)
		}
		if err := os.Chmod(private, keyMode); err != nil {
			return fmt.Errorf("restrict service account key: %w", err)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode public service account key: %w", err)
	}
	_, err = atomicfile.WriteIfChanged(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), keyMode)
	return err
}

func writeKey(path string, key crypto.Signer) error {
	text, err := keyPEM(key)
	if err != nil {
		return fmt.Errorf("encode key %s: %w", path, err)
	}
	return atomicfile.Write(path, text, keyMode)
}

func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func pemChain(chain []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range chain {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("make directory of keys: %w", err)
	}
	if err := os.Chmod(dir, dirMode); err != nil {
		return fmt.Errorf("restrict directory of keys: %w", err)
	}
	return nil
}
