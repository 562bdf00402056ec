package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Found is what is on disk for one entry.
type Found struct {
	Chain   []*x509.Certificate // the certificate first; nil when there is no file
	Key     crypto.Signer       // nil when there is no file
	CertErr error               // why the certificate's file cannot be used
	KeyErr  error               // why the key's file cannot be used
	Mode    fs.FileMode         // the most open mode of the two files
}

// missing says that neither file is there.
func (f Found) missing() bool {
	return f.Chain == nil && f.Key == nil && f.CertErr == nil && f.KeyErr == nil
}

// Action is a certificate to issue, and why.
type Action struct {
	Entry  Entry
	Reason string
	NewKey bool // the key that is there, if any, is not used again
}

// String is for the log and for people.
func (a Action) String() string { return a.Entry.Name + ": " + a.Reason }

// Plan decides what to issue, authorities first. It is an error when an
// authority is there but cannot be used: to replace it would cut off
// everything that trusts it.
func Plan(table []Entry, found map[string]Found, now time.Time) ([]Action, error) {
	var actions []Action
	var problems []error
	made := map[string]bool{}
	for _, e := range table {
		if e.Usage != Authority {
			continue
		}
		f := found[e.Name]
		if f.missing() {
			made[e.Name] = true
			actions = append(actions, Action{Entry: e, Reason: "missing", NewKey: true})
			continue
		}
		if err := usable(e, f, now); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	for _, e := range table {
		if e.Usage == Authority {
			continue
		}
		f := found[e.Name]
		reason := ""
		if made[e.Signer] {
			reason = "its authority is new"
		} else {
			reason = due(e, f, found[e.Signer], now)
		}
		if reason != "" {
			newKey := f.Key == nil || f.Mode&0o077 != 0
			actions = append(actions, Action{Entry: e, Reason: reason, NewKey: newKey})
		}
	}
	return actions, nil
}

// usable says why an authority that is on disk cannot be used.
func usable(e Entry, f Found, now time.Time) error {
	const restore = "restore it from a backup, or remove both files if nothing trusts it yet"
	switch {
	case f.CertErr != nil:
		return fmt.Errorf("authority %s: %w; %s", e.Name, f.CertErr, restore)
	case f.KeyErr != nil:
		return fmt.Errorf("authority %s: %w; %s", e.Name, f.KeyErr, restore)
	case f.Chain == nil:
		return fmt.Errorf("authority %s has a key and no certificate %s; %s", e.Name, e.Files.Cert, restore)
	case f.Key == nil:
		return fmt.Errorf("authority %s has a certificate and no key %s; %s", e.Name, e.Files.Key, restore)
	case !matches(f):
		return fmt.Errorf("authority %s: %s is not the key of %s; %s", e.Name, e.Files.Key, e.Files.Cert, restore)
	case !f.Chain[0].IsCA:
		return fmt.Errorf("authority %s: %s is not the certificate of an authority", e.Name, e.Files.Cert)
	case now.Before(f.Chain[0].NotBefore):
		return fmt.Errorf("the clock says %s, but authority %s was made at %s: set the clock", now.UTC().Format(time.RFC3339), e.Name, f.Chain[0].NotBefore.Format(time.RFC3339))
	case now.After(f.Chain[0].NotAfter):
		return fmt.Errorf("authority %s ended at %s: replace %s and its key", e.Name, f.Chain[0].NotAfter.Format(time.RFC3339), e.Files.Cert)
	}
	return nil
}

// due says why a leaf has to be issued, and "" if it does not.
func due(e Entry, f Found, authority Found, now time.Time) string {
	switch {
	case f.missing():
		return "missing"
	case f.CertErr != nil || f.KeyErr != nil:
		return "cannot be read"
	case f.Chain == nil:
		return "certificate is missing"
	case f.Key == nil:
		return "key is missing"
	case !matches(f):
		return "key does not match"
	case f.Mode&0o077 != 0:
		return fmt.Sprintf("mode was %04o", f.Mode)
	}
	c := f.Chain[0]
	switch {
	case c.CheckSignatureFrom(authority.Chain[0]) != nil:
		return "authority changed"
	case now.After(c.NotAfter):
		return "expired"
	case now.Before(c.NotBefore):
		return "not valid yet"
	case c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/3:
		return "under a third of its life is left"
	case c.Subject.CommonName != e.CN || !sameSet(c.Subject.Organization, e.Groups):
		return "subject changed"
	case !sameSet(c.DNSNames, e.DNS) || !sameSet(addresses(c.IPAddresses), texts(e.IPs)):
		return "names changed"
	case !sameSet(usageNames(c.ExtKeyUsage), usageNames(extKeyUsage(e.Usage))):
		return "usage changed"
	}
	return ""
}

// renewAt is when Plan will find the certificate due.
func renewAt(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3)
}

func matches(f Found) bool {
	public, ok := f.Chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(f.Key.Public())
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

func addresses(ips []net.IP) []string {
	var found []string
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			found = append(found, a.Unmap().String())
		}
	}
	return found
}

func texts(ips []netip.Addr) []string {
	var found []string
	for _, ip := range ips {
		found = append(found, ip.String())
	}
	return found
}

func extKeyUsage(u Usage) []x509.ExtKeyUsage {
	switch u {
	case Client:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case Serving:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case Peer:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	return nil
}

func usageNames(usages []x509.ExtKeyUsage) []string {
	var names []string
	for _, u := range usages {
		names = append(names, fmt.Sprint(int(u)))
	}
	return names
}

// Describe renders a plan for people, a line per certificate.
func Describe(actions []Action) string {
	var b strings.Builder
	for _, a := range actions {
		b.WriteString(a.String() + "\n")
	}
	return b.String()
}
