package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/authorities"
	"github.com/kelp-project/kelp/pkg/pki"
)

func TestAuthoritiesOfAPersonsOwnAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files []string
		want  []string // authorities
		fails string
	}{
		"one":         {[]string{"client-ca.crt", "client-ca.key"}, []string{pki.ClientCA}, ""},
		"two":         {[]string{"client-ca.crt", "client-ca.key", "etcd-ca.crt", "etcd-ca.key", "notes"}, []string{pki.ClientCA, pki.EtcdCA}, ""},
		"none":        {[]string{"ca.crt", "ca.key"}, nil, "there is no authority in"},
		"no key":      {[]string{"client-ca.crt"}, nil, "authority client-ca: open "},
		"key alone":   {[]string{"server-ca.key"}, nil, "authority server-ca: open "},
		"one is torn": {[]string{"client-ca.crt", "client-ca.key", "etcd-ca.key"}, nil, "etcd-ca.crt: no such file"},
	} {
		dir := t.TempDir()
		for _, file := range c.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		pairs, err := readPairs(dir)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if err != nil || len(pairs) != len(c.want) {
			t.Errorf("%s: got %d, %v", name, len(pairs), err)
		}
		for _, authority := range c.want {
			if p := pairs[authority]; string(p.Cert) != authority+".crt" || string(p.Key) != authority+".key" {
				t.Errorf("%s: %s is %s, %s", name, authority, p.Cert, p.Key)
			}
		}
	}
}

func TestRotateCAWaitsForTheServers(t *testing.T) {
	t.Parallel()
	looks := []authorities.Status{
		{Generation: 2, Adopted: map[string]int{"192.0.2.1:6443": 1, "192.0.2.2:6443": 1}},
		{Generation: 2, Adopted: map[string]int{"192.0.2.1:6443": 2, "192.0.2.2:6443": 1}},
		{Generation: 2, Adopted: map[string]int{"192.0.2.1:6443": 2, "192.0.2.2:6443": 2}},
	}
	var out strings.Builder
	err := followAuthorities(t.Context(), &out, func(context.Context) (authorities.Status, error) {
		s := looks[0]
		looks = looks[1:]
		return s, nil
	})
	want := "not adopted yet by 192.0.2.1:6443, 192.0.2.2:6443\nnot adopted yet by 192.0.2.2:6443\nSERVER          GENERATION (of 2)\n192.0.2.1:6443  2\n192.0.2.2:6443  2\n"
	if err != nil || out.String() != want {
		t.Errorf("got %q, %v", out.String(), err)
	}
}
