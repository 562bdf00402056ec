package pki

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// succession gives an engine's authorities successors.
func succession(t *testing.T, e *Engine, given map[string]Pair) Authorities {
	t.Helper()
	have, err := ReadAuthorities(e.cfg.Paths())
	if err != nil {
		t.Fatal(err)
	}
	next := Authorities{Generation: have.Generation + 1, Pairs: map[string]Pair{}}
	for _, name := range AuthorityNames {
		var own *Pair
		if p, ok := given[name]; ok {
			own = &p
		}
		if next.Pairs[name], err = Succeed(name, have.Pairs[name], own, e.now()); err != nil {
			t.Fatal(err)
		}
	}
	return next
}

// later is an engine over the same files whose clock is ahead.
func later(e *Engine, by time.Duration) *Engine {
	other := New(e.cfg)
	other.now = func() time.Time { return time.Now().Add(by) }
	return other
}

func roots(t *testing.T, certs ...*x509.Certificate) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

// accepts says whether somebody who trusts the roots alone accepts a leaf.
func accepts(pool *x509.CertPool, leaf []*x509.Certificate) error {
	between := x509.NewCertPool()
	for _, c := range leaf[1:] {
		between.AddCert(c)
	}
	_, err := leaf[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: time.Now().Add(3 * time.Hour)})
	return err
}

func TestWhoTrustsAnAuthorityAcceptsWhatItsSuccessorsSign(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	first, err := Read(e.table)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		e := later(e, time.Duration(n)*time.Hour)
		if err := e.Adopt(t.Context(), succession(t, e, nil)); err != nil {
			t.Fatal(err)
		}
	}
	now, err := Read(e.table)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range e.table {
		if entry.Usage == Authority {
			continue
		}
		before, after := first[entry.Signer].Chain[0], now[entry.Signer].Chain
		if entry.Signer != "" && before.Equal(after[0]) {
			t.Fatalf("authority %s is the same", entry.Signer)
		}
		for name, trusted := range map[string]*x509.CertPool{"the first authority": roots(t, before), "the newest": roots(t, after[0]), "its file": roots(t, after...)} {
			if err := accepts(trusted, now[entry.Name].Chain); err != nil {
				t.Errorf("%s is not accepted by whoever trusts %s: %v", entry.Name, name, err)
			}
		}
		// A machine that was away shows what the first one has signed.
		if err := accepts(roots(t, after...), first[entry.Name].Chain); err != nil {
			t.Errorf("%s of the first authority is not accepted any more: %v", entry.Name, err)
		}
		if err := accepts(roots(t, after[0]), first[entry.Name].Chain); err == nil {
			t.Errorf("%s of the first authority is accepted by whoever trusts the newest alone", entry.Name)
		}
	}
	line := Line(now[ServerCA].Chain)
	if len(line) != 3 || !Founder(now[ServerCA].Chain).Equal(first[ServerCA].Chain[0]) {
		t.Errorf("the line has %d authorities, from %s", len(line), line[len(line)-1].Subject)
	}
	if have, err := ReadAuthorities(e.cfg.Paths()); err != nil || have.Generation != 2 {
		t.Errorf("generation %d, %v", have.Generation, err)
	}
	if plan, err := Plan(e.table, now, time.Now().Add(3*time.Hour)); err != nil || len(plan) != 0 {
		t.Errorf("still to be issued: %s, %v", Describe(plan), err)
	}
	for _, name := range []string{ServerCA, ClientCA} {
		text, err := os.ReadFile(SigningFiles(e.cfg.Paths(), name).Cert)
		if err != nil {
			t.Fatal(err)
		}
		if chain, err := ParseChain(text); err != nil || len(chain) != 1 || !chain[0].Equal(now[name].Chain[0]) {
			t.Errorf("the controller manager would not sign with %s: %d certificates, %v", name, len(chain), err)
		}
	}
}

func TestNobodyVouchesForAStranger(t *testing.T) {
	t.Parallel()
	e, stranger := testEngine(t), testEngine(t)
	ensure(t, e)
	ensure(t, stranger)
	own, err := Read(e.table)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Read(stranger.table)
	if err != nil {
		t.Fatal(err)
	}
	next := succession(t, later(e, time.Hour), nil)
	after, err := ParseChain(next.Pairs[ServerCA].Cert)
	if err != nil {
		t.Fatal(err)
	}
	ours, evil := own[ServerCA].Chain[0], other[ServerCA].Chain[0]
	hash := HashOf(ours)
	for name, c := range map[string]struct {
		chain []*x509.Certificate
		want  []*x509.Certificate
	}{
		"itself":                  {[]*x509.Certificate{ours}, []*x509.Certificate{ours}},
		"its successor":           {after, []*x509.Certificate{after[0], ours}},
		"one beside it":           {[]*x509.Certificate{ours, evil}, []*x509.Certificate{ours}},
		"one before it":           {[]*x509.Certificate{evil, ours}, nil},
		"one before, and blessed": {[]*x509.Certificate{evil, after[1], ours}, nil},
		"one after its successor": {slices.Concat(after, []*x509.Certificate{evil}), []*x509.Certificate{after[0], ours}},
		"another one":             {[]*x509.Certificate{evil}, nil},
		"none":                    {nil, nil},
	} {
		want := ""
		if c.want != nil {
			want = string(pemChain(c.want))
		}
		if got := string(VouchedFor(c.chain, hash)); got != want {
			t.Errorf("%s: it vouches for\n%s", name, got)
		}
	}
}

func TestAnAuthorityOfOnesOwnSucceeds(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	first, err := Read(e.table)
	if err != nil {
		t.Fatal(err)
	}
	files := Files{Cert: filepath.Join(t.TempDir(), "ca.crt"), Key: filepath.Join(t.TempDir(), "ca.key")}
	root, intermediate := rsaAuthority(t, files)
	given, err := ReadPair(files)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Adopt(t.Context(), succession(t, e, map[string]Pair{ServerCA: given})); err != nil {
		t.Fatal(err)
	}
	now, err := Read(e.table)
	if err != nil {
		t.Fatal(err)
	}
	if !now[ServerCA].Chain[0].Equal(intermediate) {
		t.Fatalf("the authority is %s", now[ServerCA].Chain[0].Subject)
	}
	for name, trusted := range map[string]*x509.Certificate{"the given root": root, "the first authority": first[ServerCA].Chain[0]} {
		between := x509.NewCertPool()
		for _, c := range now[APIServer].Chain[1:] {
			between.AddCert(c)
		}
		if _, err := now[APIServer].Chain[0].Verify(x509.VerifyOptions{Roots: roots(t, trusted), Intermediates: between, DNSName: "kubernetes"}); err != nil {
			t.Errorf("whoever trusts %s: %v", name, err)
		}
	}
}

func TestASuccessorIsRefused(t *testing.T) {
	t.Parallel()
	e, other := testEngine(t), testEngine(t)
	ensure(t, e)
	ensure(t, other)
	have, err := ReadAuthorities(e.cfg.Paths())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ReadAuthorities(other.cfg.Paths())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ReadPair(FilesOf(e.cfg.Paths(), APIServer))
	if err != nil {
		t.Fatal(err)
	}
	own := have.Pairs[ServerCA]
	for name, c := range map[string]struct {
		given Pair
		now   time.Time
		want  string
	}{
		"no certificate":      {Pair{Key: own.Key}, time.Now(), "there is no certificate"},
		"no key":              {Pair{Cert: own.Cert}, time.Now(), "no private key"},
		"another one's key":   {Pair{Cert: theirs.Pairs[ClientCA].Cert, Key: own.Key}, time.Now(), "its key does not belong"},
		"a leaf":              {leaf, time.Now(), "not the certificate of an authority"},
		"the one in use":      {own, time.Now(), "has the key of the one in use"},
		"its own predecessor": {theirs.Pairs[EtcdCA], time.Now().Add(20 * 365 * day), "the authority in use"},
	} {
		_, err := Succeed(ServerCA, own, &c.given, c.now)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAdoptionThatWasKilledGoesOn(t *testing.T) {
	t.Parallel()
	for written := range 2*len(AuthorityNames) + 1 {
		e := testEngine(t)
		ensure(t, e)
		next := succession(t, later(e, time.Hour), nil)
		if err := e.begin(next); err != nil {
			t.Fatal(err)
		}
		for i := range written { // before it was killed
			name := AuthorityNames[i/2]
			path, text := AuthorityFiles(e.cfg.Paths(), name).Key, next.Pairs[name].Key
			if i%2 == 1 {
				path, text = AuthorityFiles(e.cfg.Paths(), name).Cert, next.Pairs[name].Cert
			}
			if err := os.WriteFile(path, text, keyMode); err != nil {
				t.Fatal(err)
			}
		}
		if err := later(e, 2*time.Hour).Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		have, err := ReadAuthorities(e.cfg.Paths())
		if err != nil || have.Generation != 1 || !reflect.DeepEqual(have.Pairs, next.Pairs) {
			t.Errorf("killed after %d files: generation %d, %v", written, have.Generation, err)
		}
		if _, err := os.Stat(filepath.Join(e.cfg.Paths().TLS, nextFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the adoption has not ended: %v", err)
		}
		if err := later(e, 2*time.Hour).Adopt(t.Context(), next); err != nil {
			t.Errorf("adopting it again: %v", err)
		}
	}
}
