package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// An authority is succeeded by another one with the old one's blessing: the new
// key is also signed by the old authority, and that certificate goes with all that
// the new one signs. So whoever trusts the old authority alone trusts the new
// one's certificates, and nobody has to learn of the new one at any certain time.
// An authority's file holds its own certificate, the authorities above it where
// it has such, and after them the certificate by its predecessor and the
// predecessor's file.

// HashOf names an authority: what a token holds.
func HashOf(authority *x509.Certificate) string {
	sum := sha256.Sum256(authority.Raw)
	return hex.EncodeToString(sum[:])
}

// Line returns an authority and its predecessors, newest first, of those that are in
// its file: each one after the first has signed its successor's key. What else the
// file holds was blessed by none of them.
func Line(chain []*x509.Certificate) []*x509.Certificate {
	if len(chain) == 0 {
		return nil
	}
	line := chain[:1:1]
	for i := 1; i+1 < len(chain); i++ {
		blessed, by := chain[i], chain[i+1]
		if samePublic(blessed, line[len(line)-1]) && blessed.CheckSignatureFrom(by) == nil {
			line = append(line, by)
			i++
		}
	}
	return line
}

// Founder is the authority that a cluster began with: its hash is the cluster's
// name in tokens and snapshots, for as long as authorities bless their successors.
func Founder(chain []*x509.Certificate) *x509.Certificate {
	line := Line(chain)
	return line[len(line)-1]
}

// VouchedFor returns, PEM, those authorities of a file that came from a stranger
// which the one with the hash vouches for: itself and its successors. It returns
// nil where that one is not in the line.
func VouchedFor(chain []*x509.Certificate, hash string) []byte {
	line := Line(chain)
	i := slices.IndexFunc(line, func(c *x509.Certificate) bool { return HashOf(c) == hash })
	if i < 0 {
		return nil
	}
	return pemChain(line[:i+1])
}

func samePublic(a, b *x509.Certificate) bool {
	public, ok := a.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(b.PublicKey)
}

// Pair is the content of an authority's two files, PEM.
type Pair struct {
	Cert []byte `json:"cert"`
	Key  []byte `json:"key"`
}

// Succeed returns the files of an authority's successor: the given pair, or a new
// one where that is nil. The name is the authority's in the table.
func Succeed(name string, old Pair, given *Pair, now time.Time) (Pair, error) {
	entry := Entry{Name: name, CN: "kelp-" + name, Usage: Authority, Life: authorityLife}
	before, err := readPair(old)
	if err == nil {
		err = usable(entry, before, now)
	}
	if err != nil {
		return Pair{}, fmt.Errorf("the authority in use: %w", err)
	}
	i := &issuer{now: now, rand: rand.Reader}
	var next Found
	var pair Pair
	if given != nil {
		pair = *given
		if next, err = readPair(pair); err != nil {
			return Pair{}, fmt.Errorf("the new authority %s: %w", name, err)
		}
		if err := fit(entry, next, before, now); err != nil {
			return Pair{}, err
		}
	} else if next, pair, err = i.establish(entry); err != nil {
		return Pair{}, err
	}
	blessed, err := i.bless(next.Chain[0], before)
	if err != nil {
		return Pair{}, fmt.Errorf("sign the new authority %s with the one in use: %w", name, err)
	}
	return Pair{Cert: slices.Concat(pemChain(next.Chain), pemChain([]*x509.Certificate{blessed}), pemChain(before.Chain)), Key: pair.Key}, nil
}

// readPair reads a pair.
func readPair(p Pair) (f Found, err error) {
	if f.Chain, err = ParseChain(p.Cert); err != nil {
		return Found{}, err
	}
	if f.Key, err = ParseKey(p.Key); err != nil {
		return Found{}, err
	}
	return f, nil
}

// fit says why an authority that a person brings cannot be the next one.
func fit(e Entry, next, before Found, now time.Time) error {
	c := next.Chain[0]
	switch {
	case !matches(next):
		return fmt.Errorf("the new authority %s: its key does not belong to its certificate", e.Name)
	case !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("the new authority %s is not the certificate of an authority", e.Name)
	case now.Before(c.NotBefore) || now.After(c.NotAfter):
		return fmt.Errorf("the new authority %s is valid from %s to %s, and not now", e.Name, c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339))
	case samePublic(c, before.Chain[0]):
		return fmt.Errorf("the new authority %s has the key of the one in use", e.Name)
	case bytes.Equal(c.RawSubject, before.Chain[0].RawSubject):
		return fmt.Errorf("the new authority %s has the name of the one in use, %s: clients could not tell them apart", e.Name, c.Subject)
	}
	for n := range next.Chain[1:] {
		if err := next.Chain[n].CheckSignatureFrom(next.Chain[n+1]); err != nil {
			return fmt.Errorf("the new authority %s: certificate %d of its file is not signed by the one after it: %w", e.Name, n+1, err)
		}
	}
	return nil
}

// establish makes an authority that nobody knows yet.
func (i *issuer) establish(e Entry) (Found, Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), i.rand)
	if err != nil {
		return Found{}, Pair{}, fmt.Errorf("make key of %s: %w", e.Name, err)
	}
	text, err := keyPEM(key)
	if err != nil {
		return Found{}, Pair{}, fmt.Errorf("encode key of %s: %w", e.Name, err)
	}
	chain, err := i.sign(e, key)
	if err != nil {
		return Found{}, Pair{}, fmt.Errorf("make authority %s: %w", e.Name, err)
	}
	return Found{Chain: chain, Key: key}, Pair{Cert: pemChain(chain), Key: text}, nil
}

// bless has one authority sign the key of its successor.
func (i *issuer) bless(next *x509.Certificate, by Found) (*x509.Certificate, error) {
	parent := by.Chain[0]
	if parent.MaxPathLen == 0 && parent.MaxPathLenZero {
		return nil, errors.New("its certificate allows no authority below it (path length 0)")
	}
	template, err := i.template(Entry{Usage: Authority, Life: next.NotAfter.Sub(i.now)})
	if err != nil {
		return nil, err
	}
	template.Subject, template.RawSubject, template.SubjectKeyId = next.Subject, next.RawSubject, next.SubjectKeyId
	template.MaxPathLen, template.MaxPathLenZero = next.MaxPathLen, next.MaxPathLenZero
	if template.NotAfter.After(parent.NotAfter) {
		template.NotAfter = parent.NotAfter
	}
	made, err := i.create(template, parent, next.PublicKey, by.Key)
	if err != nil {
		return nil, err
	}
	return made[0], nil
}
