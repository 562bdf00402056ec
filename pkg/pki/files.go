package pki

import (
	"path/filepath"
	"slices"

	"github.com/kelp-project/kelp/pkg/config"
)

// The names of the authorities.
const (
	ServerCA        = "server-ca"
	ClientCA        = "client-ca"
	RequestHeaderCA = "request-header-ca"
	EtcdCA          = "etcd-ca"
)

// The names of the leaf certificates.
const (
	APIServer                = "apiserver"
	APIServerKubeletClient   = "apiserver-kubelet-client"
	Aggregator               = "aggregator"
	Admin                    = "admin"
	Kelp                     = "kelp"
	ControllerManager        = "controller-manager"
	ControllerManagerServing = "controller-manager-serving"
	Scheduler                = "scheduler"
	SchedulerServing         = "scheduler-serving"
	EtcdServer               = "etcd-server"
	EtcdPeer                 = "etcd-peer"
	EtcdClient               = "etcd-client"
	Kubelet                  = "kubelet"
	KubeletServing           = "kubelet-serving"
	Proxy                    = "proxy"
	Network                  = "network"
)

// Files are the PEM files of one certificate: the certificate itself, its
// key, and the authority that signed it.
type Files struct{ Cert, Key, CA string }

// AuthorityFiles returns where the authority's certificate and key are. On
// a node without a control plane only the certificate exists.
func AuthorityFiles(p config.Paths, name string) Files {
	cert := filepath.Join(p.TLS, name+".crt")
	return Files{Cert: cert, Key: filepath.Join(p.TLS, name+".key"), CA: cert}
}

// SigningFiles are for the controller manager, which signs with one certificate and
// refuses a file that holds more.
func SigningFiles(p config.Paths, name string) Files {
	f := AuthorityFiles(p, name)
	f.Cert = filepath.Join(p.TLS, name+"-signing.crt")
	return f
}

// ServiceAccountFiles returns the private key that signs service account
// tokens and the public key that checks them.
func ServiceAccountFiles(p config.Paths) (private, public string) {
	return filepath.Join(p.TLS, "service-account.key"), filepath.Join(p.TLS, "service-account.pub")
}

// nodeLeaves are the certificates that belong to the node part.
var nodeLeaves = []string{Kubelet, KubeletServing, Proxy, Network}

// FilesOf returns where a leaf certificate, its key and its authority are.
func FilesOf(p config.Paths, name string) Files {
	dir := p.TLS
	if slices.Contains(nodeLeaves, name) {
		dir = p.AgentTLS
	}
	return Files{
		Cert: filepath.Join(dir, name+".crt"),
		Key:  filepath.Join(dir, name+".key"),
		CA:   AuthorityFiles(p, signerOf(name)).Cert,
	}
}

// KubeconfigOf returns where the kubeconfig of a client certificate is.
func KubeconfigOf(p config.Paths, name string) string {
	dir := p.Kubeconfigs
	if slices.Contains(nodeLeaves, name) {
		dir = p.AgentKubeconfigs
	}
	return filepath.Join(dir, name+".kubeconfig")
}

// signerOf names the authority of a leaf. The table says the same, but needs
// a whole configuration; a test compares the two.
func signerOf(name string) string {
	switch name {
	case APIServer, ControllerManagerServing, SchedulerServing, KubeletServing:
		return ServerCA
	case EtcdServer, EtcdPeer, EtcdClient:
		return EtcdCA
	case Aggregator:
		return RequestHeaderCA
	}
	return ClientCA
}
