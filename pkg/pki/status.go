package pki

import (
	"time"

	"github.com/kelp-project/kelp/pkg/config"
)

// Status is one certificate as it is on disk, for people and scripts.
type Status struct {
	Name      string    `json:"name"`
	Authority string    `json:"authority,omitempty"` // empty for an authority
	Usage     Usage     `json:"usage"`
	Subject   string    `json:"subject"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	DaysLeft  int       `json:"daysLeft"` // whole days, negative when it has ended
	// Due says why it has to be issued anew, empty if it does not: a running
	// kelp does that within the hour.
	Due string `json:"due,omitempty"`
	// Damaged says why files that are there are of no use, empty if they are.
	Damaged string `json:"damaged,omitempty"`
	File    string `json:"file"`
	Reload  string `json:"reload"` // who reads it again when it changes, and how
}

// Statuses describes what was found for each entry of a table.
func Statuses(table []Entry, found map[string]Found, now time.Time) []Status {
	list := make([]Status, 0, len(table))
	for _, e := range table {
		f := found[e.Name]
		s := Status{Name: e.Name, Authority: e.Signer, Usage: e.Usage, Subject: e.CN, File: e.Files.Cert, Reload: e.Reload}
		if len(f.Chain) > 0 {
			c := f.Chain[0]
			s.Subject, s.NotBefore, s.NotAfter = c.Subject.String(), c.NotBefore, c.NotAfter
			s.DaysLeft = int(c.NotAfter.Sub(now).Hours() / 24)
			if c.NotAfter.Before(now) {
				s.DaysLeft-- // a certificate that ended an hour ago has not 0 days left
			}
		}
		s.Due, s.Damaged = dueNow(e, f, found[e.Signer], now), damage(e, f)
		list = append(list, s)
	}
	return list
}

func dueNow(e Entry, f, authority Found, now time.Time) string {
	switch {
	case e.Usage != Authority && len(authority.Chain) == 0:
		return "its authority is missing"
	case e.Usage != Authority:
		return due(e, f, authority, now)
	case f.missing():
		return "missing"
	}
	if err := usable(e, f, now); err != nil {
		return err.Error()
	}
	return ""
}

// damage is why the files of an entry cannot be used, whatever the time is.
func damage(e Entry, f Found) string {
	switch {
	case f.CertErr != nil:
		return f.CertErr.Error()
	case f.KeyErr != nil:
		return f.KeyErr.Error()
	case f.Chain != nil && f.Key != nil && !matches(f):
		return e.Files.Key + " is not the key of " + e.Files.Cert
	}
	return ""
}

// List describes the certificates of a configuration as they are now.
func List(cfg config.Config) ([]Status, error) {
	table := Table(cfg)
	found, err := Read(table)
	if err != nil {
		return nil, err
	}
	return Statuses(table, found, time.Now()), nil
}
