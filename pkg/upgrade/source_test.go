package upgrade

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseSource(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ program, checksum, sums string }{
		"/root/kelp":                          {"/root/kelp", "/root/kelp.sha256", "/root/SHA256SUMS"},
		"https://kelp.example":                {"https://kelp.example/kelp-amd64", "https://kelp.example/kelp-amd64.sha256", "https://kelp.example/SHA256SUMS"},
		"https://kelp.example/":               {"https://kelp.example/kelp-amd64", "https://kelp.example/kelp-amd64.sha256", "https://kelp.example/SHA256SUMS"},
		"https://kelp.example/kelp/":          {"https://kelp.example/kelp/kelp-amd64", "https://kelp.example/kelp/kelp-amd64.sha256", "https://kelp.example/kelp/SHA256SUMS"},
		"https://kelp.example/kelp":           {"https://kelp.example/kelp", "https://kelp.example/kelp.sha256", "https://kelp.example/SHA256SUMS"},
		"http://kelp.example/v1.37.2%2Bkelp1": {"http://kelp.example/v1.37.2%2Bkelp1/kelp-amd64", "http://kelp.example/v1.37.2%2Bkelp1/kelp-amd64.sha256", "http://kelp.example/v1.37.2%2Bkelp1/SHA256SUMS"},
		"http://me:pass@kelp.example/x?a=b":   {"http://me:xxxxx@kelp.example/x/kelp-amd64?a=b", "http://me:xxxxx@kelp.example/x/kelp-amd64.sha256?a=b", "http://me:xxxxx@kelp.example/x/SHA256SUMS?a=b"},
	} {
		s, err := parseSource(text, "amd64")
		if err != nil || s.String() != want.program || s.beside(".sha256").String() != want.checksum || s.sibling(sumsName).String() != want.sums {
			t.Errorf("%s: %s, %s, %s, %v; want %v", text, s, s.beside(".sha256"), s.sibling(sumsName), err, want)
		}
	}
	for _, text := range []string{"ftp://kelp.example/", "https:///kelp", "https://a b/"} {
		if s, err := parseSource(text, "amd64"); err == nil {
			t.Errorf("%s is taken for %s", text, s)
		}
	}
}

func TestFindSum(t *testing.T) {
	t.Parallel()
	a, b := strings.Repeat("0a", 32), strings.Repeat("FF", 32)
	for name, c := range map[string]struct{ text, want string }{
		"of sha256sum":        {a + "  kelp-amd64\n", a},
		"in binary mode":      {a + " *kelp-amd64\n", a},
		"among others":        {b + "  kelp-arm64\n" + a + "  kelp-amd64\n", a},
		"a sum alone":         {b + "\n", strings.ToLower(b)},
		"of another file":     {a + "  kelp-arm64\n", ""},
		"of a longer name":    {a + "  kelp-amd64.deb\n", ""},
		"sums without names":  {a + "\n" + b + "\n", ""},
		"too short":           {a[1:] + "  kelp-amd64\n", ""},
		"no hexadecimal sum":  {strings.Repeat("xy", 32) + "  kelp-amd64\n", ""},
		"a page of a gateway": {"<html>log in first</html>", ""},
		"nothing":             {"", ""},
	} {
		got, found := findSum(c.text, "kelp-amd64")
		if got != c.want || found != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, found, c.want)
		}
	}
}

func TestSigned(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("kelp"))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	prime, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ECDSA": curve, "RSA": prime} {
		signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "key.pub")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := signed(file, signature, hex.EncodeToString(sum[:])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		other := sha256.Sum256([]byte("kelp!"))
		if err := signed(file, signature, hex.EncodeToString(other[:])); err == nil {
			t.Errorf("%s: the signature of another program is taken", name)
		}
		if err := signed(file, nil, hex.EncodeToString(sum[:])); err == nil {
			t.Errorf("%s: no signature is taken", name)
		}
	}
}
