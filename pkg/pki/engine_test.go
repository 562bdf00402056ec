package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func testEngine(t *testing.T) *Engine {
	t.Helper()
	return New(testConfig(t.TempDir()))
}

func ensure(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.Ensure(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// tree is every file below the engine's directories with its content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryLeafVerifies(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	found, err := Read(e.table)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range e.table {
		f := found[entry.Name]
		if entry.Usage == Authority {
			continue
		}
		for other, authority := range found {
			if authority.Chain == nil || !authority.Chain[0].IsCA {
				continue
			}
			roots := x509.NewCertPool()
			roots.AddCert(authority.Chain[0])
			_, err := f.Chain[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: extKeyUsage(entry.Usage)})
			if (err == nil) != (other == entry.Signer) {
				t.Errorf("%s verified by %s: %v", entry.Name, other, err)
			}
		}
		if _, err := tls.LoadX509KeyPair(entry.Files.Cert, entry.Files.Key); err != nil {
			t.Errorf("%s: %v", entry.Name, err)
		}
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	for _, dir := range []string{e.cfg.Paths().TLS, e.cfg.Paths().AgentTLS, e.cfg.Paths().Kubeconfigs, e.cfg.Paths().AgentKubeconfigs} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %o", path, info.Mode().Perm())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestSecondEnsureChangesNothing(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	before := tree(t, e.cfg.DataDir)
	ensure(t, e)
	after := tree(t, e.cfg.DataDir)
	if len(before) != len(after) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
	for path, text := range before {
		if after[path] != text {
			t.Errorf("%s changed", path)
		}
	}
}

func TestRenewsWithItsKeyAndRewritesTheAdminKubeconfig(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	before := tree(t, e.cfg.DataDir)
	e.now = func() time.Time { return time.Now().Add(250 * day) }
	ensure(t, e)
	after := tree(t, e.cfg.DataDir)
	for path, text := range before {
		authority := strings.Contains(filepath.Base(path), "-ca.") || strings.HasSuffix(path, "-signing.crt")
		renewed := strings.HasSuffix(path, ".crt") && !authority || path == e.cfg.Kubeconfig.Path
		if changed := after[path] != text; changed != renewed {
			t.Errorf("%s changed: %v, want %v", path, changed, renewed)
		}
	}
}

func TestLeafFollowsTheConfiguration(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	cfg := e.cfg
	cfg.API.TLSSANs = append(cfg.API.TLSSANs, "new.example.com")
	found, err := Read(Table(cfg))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Plan(Table(cfg), found, time.Now())
	if err != nil || Describe(plan) != "apiserver: names changed\n" {
		t.Errorf("got %q, %v", Describe(plan), err)
	}
}

func TestWhatIsWrongOnDiskIsMended(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm func(f Files) error
		want string
	}{
		"no certificate":   {func(f Files) error { return os.Remove(f.Cert) }, "certificate is missing"},
		"no key":           {func(f Files) error { return os.Remove(f.Key) }, "key is missing"},
		"truncated":        {func(f Files) error { return os.Truncate(f.Cert, 100) }, "cannot be read"},
		"open to all":      {func(f Files) error { return os.Chmod(f.Key, 0o644) }, "mode was 0644"},
		"killed after key": {func(f Files) error { return (&issuer{rand: rand.Reader}).otherKey(f.Key) }, "key does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := testEngine(t)
			ensure(t, e)
			if err := c.harm(FilesOf(e.cfg.Paths(), Scheduler)); err != nil {
				t.Fatal(err)
			}
			found, err := Read(e.table)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := Plan(e.table, found, time.Now())
			if err != nil || Describe(plan) != "scheduler: "+c.want+"\n" {
				t.Fatalf("got %q, %v", Describe(plan), err)
			}
			ensure(t, e)
			if found, err = Read(e.table); err != nil {
				t.Fatal(err)
			}
			if plan, err = Plan(e.table, found, time.Now()); err != nil || len(plan) > 0 {
				t.Errorf("still to do: %s %v", Describe(plan), err)
			}
		})
	}
}

func (i *issuer) otherKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), i.rand)
	if err != nil {
		return err
	}
	return writeKey(path, key)
}

func TestABrokenAuthorityIsNeverReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm func(f Files) error
		want string
	}{
		"no key":    {func(f Files) error { return os.Remove(f.Key) }, "has a certificate and no key"},
		"no cert":   {func(f Files) error { return os.Remove(f.Cert) }, "has a key and no certificate"},
		"truncated": {func(f Files) error { return os.Truncate(f.Cert, 50) }, "there is no certificate in it"},
		"other key": {func(f Files) error { return (&issuer{rand: rand.Reader}).otherKey(f.Key) }, "is not the key of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := testEngine(t)
			ensure(t, e)
			if err := c.harm(AuthorityFiles(e.cfg.Paths(), ClientCA)); err != nil {
				t.Fatal(err)
			}
			before := tree(t, e.cfg.DataDir)
			err := e.Ensure(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "client-ca") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			for path, text := range tree(t, e.cfg.DataDir) {
				if before[path] != text {
					t.Errorf("%s was changed", path)
				}
			}
		})
	}
}

func TestClockBeforeTheAuthority(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	e.now = func() time.Time { return time.Now().Add(-72 * time.Hour) }
	if err := e.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("got %v", err)
	}
}

func TestAnAuthorityOfTheUsersIsUsed(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	files := AuthorityFiles(e.cfg.Paths(), ServerCA)
	if err := os.MkdirAll(filepath.Dir(files.Cert), 0o700); err != nil {
		t.Fatal(err)
	}
	root, intermediate := rsaAuthority(t, files)
	ensure(t, e)
	pair, err := tls.LoadX509KeyPair(FilesOf(e.cfg.Paths(), APIServer).Cert, FilesOf(e.cfg.Paths(), APIServer).Key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || len(pair.Certificate) != 2 {
		t.Fatalf("%v, %d certificates in the file, want leaf and intermediate", err, len(pair.Certificate))
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	between.AddCert(intermediate)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: "kelp.example.com"}); err != nil {
		t.Error(err)
	}
}

// rsaAuthority writes an intermediate authority with an RSA key, as a
// company's own would be, and its root behind it.
func rsaAuthority(t *testing.T, files Files) (root, intermediate *x509.Certificate) {
	t.Helper()
	make := func(cn string, parent *x509.Certificate, signer *rsa.PrivateKey) (*x509.Certificate, *rsa.PrivateKey) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24 * 900), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		if parent == nil {
			parent, signer = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return parsed, key
	}
	root, rootKey := make("root", nil, nil)
	intermediate, key := make("intermediate", root, rootKey)
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(files.Key, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.Cert, pemChain([]*x509.Certificate{intermediate, root}), 0o600); err != nil {
		t.Fatal(err)
	}
	return root, intermediate
}

func TestRotateMakesNewKeysAndKeepsTheOld(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	key := FilesOf(e.cfg.Paths(), Kubelet).Key
	before, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Rotate(t.Context(), "kublet"); err == nil || !strings.Contains(err.Error(), `no certificate "kublet"`) {
		t.Errorf("unknown name: %v", err)
	}
	backup, issued, err := e.Rotate(t.Context(), Kubelet)
	if err != nil || len(issued) != 1 {
		t.Fatal(issued, err)
	}
	after, _ := os.ReadFile(key)
	kept, _ := os.ReadFile(filepath.Join(backup, "kubelet.key"))
	if string(after) == string(before) || string(kept) != string(before) {
		t.Error("the key was not replaced, or the old one not kept")
	}
}

func TestAdminKubeconfigStandsAlone(t *testing.T) {
	t.Parallel()
	e := testEngine(t)
	ensure(t, e)
	c, err := clientcmd.LoadFromFile(e.cfg.Kubeconfig.Path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Clusters["default"].Server != "https://127.0.0.1:6443" || len(c.AuthInfos["default"].ClientKeyData) == 0 || c.AuthInfos["default"].ClientKey != "" {
		t.Errorf("got %+v", c.AuthInfos["default"])
	}
	if info, _ := os.Stat(e.cfg.Kubeconfig.Path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
}
