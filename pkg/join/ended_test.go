package join

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
)

// end replaces a node's certificate with one of the same authority and key that
// ended yesterday.
func (h *hub) end(t *testing.T, cfg config.Config) (serial *big.Int) {
	t.Helper()
	signer, err := pki.ReadPair(pki.AuthorityFiles(h.cfg.Paths(), pki.ClientCA))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := tls.X509KeyPair(signer.Cert, signer.Key)
	if err != nil {
		t.Fatal(err)
	}
	files := pki.FilesOf(cfg.Paths(), pki.Kubelet)
	own, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	c := *own.Leaf
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(7), time.Now().AddDate(-1, 0, -1), time.Now().AddDate(0, 0, -1)
	der, err := x509.CreateCertificate(rand.Reader, &c, authority.Leaf, own.Leaf.PublicKey, authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return c.SerialNumber
}

// A node that was off for longer than its certificates live has new ones at its next
// start, under its name, if its token is good still; else it is told what it lacks.
func TestANodeComesBackWhenItsCertificatesHaveEnded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cfg := h.machine(t, "one", "192.0.2.11", h.token(t, token.Agent))
	if _, err := enter(t, cfg); err != nil {
		t.Fatal(err)
	}
	serial := h.end(t, cfg)
	if _, err := enter(t, cfg); err != nil {
		t.Fatal(err)
	}
	files := pki.FilesOf(cfg.Paths(), pki.Kubelet)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil || pair.Leaf.SerialNumber.Cmp(serial) == 0 || time.Until(pair.Leaf.NotAfter) < 300*24*time.Hour {
		t.Errorf("it has the certificate %v, %v", pair.Leaf, err)
	}

	h.end(t, cfg)
	if _, err := token.Rotate(t.Context(), h.cfg, h.tokens, token.Agent, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := enter(t, cfg); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("with a token that was rotated: %v", err)
	}
	cfg.Token = h.token(t, token.Agent)
	if _, err := enter(t, cfg); err != nil {
		t.Errorf("with the token of now: %v", err)
	}
}
