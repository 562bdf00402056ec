package control_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func issue(t testing.TB, files pki.Files, signer *authority, template x509.Certificate) authority {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template.SerialNumber = must(rand.Int(rand.Reader, big.NewInt(1<<62)))(t)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, parentKey := &template, crypto.Signer(key)
	if signer != nil {
		parent, parentKey = signer.cert, signer.key
	}
	der := must(x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), parentKey))(t)
	writePEM(t, files.Cert, "CERTIFICATE", der)
	writePEM(t, files.Key, "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key))(t))
	return authority{cert: must(x509.ParseCertificate(der))(t), key: key}
}

// issueAll makes every certificate that the control plane needs.
func issueAll(t testing.TB, cfg config.Config, p config.Paths) {
	t.Helper()
	ca := func(name string) *authority {
		a := issue(t, pki.AuthorityFiles(p, name), nil, x509.Certificate{
			Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		})
		return &a
	}
	server, client, header, etcd := ca(pki.ServerCA), ca(pki.ClientCA), ca(pki.RequestHeaderCA), ca(pki.EtcdCA)
	leaf := func(name string, signer *authority, cn string, groups ...string) {
		issue(t, pki.FilesOf(p, name), signer, x509.Certificate{
			Subject:     pkix.Name{CommonName: cn, Organization: groups},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			DNSNames:    []string{"localhost", "kubernetes.default.svc"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		})
	}
	leaf(pki.APIServer, server, "kube-apiserver")
	leaf(pki.ControllerManagerServing, server, "kube-controller-manager")
	leaf(pki.SchedulerServing, server, "kube-scheduler")
	leaf(pki.Aggregator, header, "system:auth-proxy")
	leaf(pki.APIServerKubeletClient, client, "system:kelp:apiserver", "kelp:kubelet-client")
	leaf(pki.Admin, client, "system:admin", "system:masters")
	leaf(pki.ControllerManager, client, "system:kube-controller-manager")
	leaf(pki.Scheduler, client, "system:kube-scheduler")
	for _, name := range []string{pki.EtcdServer, pki.EtcdPeer, pki.EtcdClient} {
		leaf(name, etcd, name)
	}
	private, public := pki.ServiceAccountFiles(p)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	writePEM(t, private, "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key))(t))
	writePEM(t, public, "PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.Public()))(t))
	for _, name := range []string{pki.Admin, pki.ControllerManager, pki.Scheduler} {
		kubeconfig(t, cfg, p, name)
	}
}

func kubeconfig(t testing.TB, cfg config.Config, p config.Paths, name string) {
	t.Helper()
	files := pki.FilesOf(p, name)
	k := clientcmdapi.NewConfig()
	k.Clusters["kelp"] = &clientcmdapi.Cluster{Server: serverURL(cfg), CertificateAuthority: pki.AuthorityFiles(p, pki.ServerCA).Cert}
	k.AuthInfos["kelp"] = &clientcmdapi.AuthInfo{ClientCertificate: files.Cert, ClientKey: files.Key}
	k.Contexts["kelp"] = &clientcmdapi.Context{Cluster: "kelp", AuthInfo: "kelp"}
	k.CurrentContext = "kelp"
	if err := clientcmd.WriteToFile(*k, pki.KubeconfigOf(p, name)); err != nil {
		t.Fatal(err)
	}
}
