package flags

import (
	"strconv"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Identity is what a component of the control plane, other than the API
// server, is and serves.
type Identity struct {
	Client  string // the name of its client certificate in package pki
	Serving string // the name of its serving certificate
	Port    int    // its port for health and metrics, on loopback
}

// ClientArgs adds the arguments with which a component reaches the API and
// serves its health and metrics, on loopback, to those whom the API knows.
func ClientArgs(s *args.Set, cfg config.Config, p config.Paths, id Identity) {
	const own = "its certificates are kelp's: see kelp certificate"
	kubeconfig, serving := pki.KubeconfigOf(p, id.Client), pki.FilesOf(p, id.Serving)
	for _, key := range []string{"kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"} {
		s.Owned(key, kubeconfig, own)
	}
	s.Owned("client-ca-file", pki.AuthorityFiles(p, pki.ClientCA).Cert, own)
	s.Owned("requestheader-client-ca-file", pki.AuthorityFiles(p, pki.RequestHeaderCA).Cert, own)
	s.Owned("tls-cert-file", serving.Cert, own)
	s.Owned("tls-private-key-file", serving.Key, own)
	s.Default("bind-address", "127.0.0.1")
	s.Default("secure-port", strconv.Itoa(id.Port))
	s.Config("profiling", strconv.FormatBool(cfg.Debug))
	// An election for each component would write to the datastore each second.
	const elected = "one lease of kelp's decides for all components on which server they run"
	s.Owned("leader-elect", "false", elected)
	for _, key := range []string{"lease-duration", "renew-deadline", "retry-period", "resource-lock", "resource-name", "resource-namespace"} {
		s.Refused("leader-elect-"+key, elected)
	}
	s.Refused("master", "its kubeconfig names the server")
	s.Refused("cert-dir", own)
	for _, key := range []string{"emulated-version", "min-compatibility-version"} {
		s.Refused(key, "there is one process: set it for kube-apiserver")
	}
	Common(s)
}
