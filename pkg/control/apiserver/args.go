package apiserver

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/internal/flags"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Datastore is how the API reaches its datastore.
type Datastore struct {
	URLs     []string
	CAFile   string
	CertFile string
	KeyFile  string
}

// cipherSuites are what is left of TLS 1.2 without CBC and without key
// exchanges that a stolen key could undo. TLS 1.3 has no choice to make.
var cipherSuites = []string{
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}

// advice for what the user sets elsewhere, or not at all.
const (
	fixed     = "kelp alone decides this"
	ownCerts  = "its certificates are kelp's: see kelp certificate"
	datastore = "set datastore.kind, or datastore.endpoint and the files beside it"
)

// Args returns kube-apiserver's arguments, without the user's; gates are the
// feature gates of the whole process. It is a pure function.
func Args(cfg config.Config, p config.Paths, store Datastore, gates []string) *args.Set {
	s := args.NewSet("kube-apiserver")
	listenerArgs(s, cfg, p)
	datastoreArgs(s, store)
	identityArgs(s, cfg, p)
	if !UsersEncryption(cfg) {
		s.Default(encryptionArg, p.Encryption)
		s.Default(encryptionArg+"-automatic-reload", "true")
	}
	s.Append("enable-admission-plugins", "NodeRestriction")
	s.Config("service-cluster-ip-range", prefixes(cfg.Network.ServiceCIDRs)...)
	s.Config("service-node-port-range", cfg.Network.ServiceNodePortRange.String())
	s.Default("allow-privileged", "true") // CNI and storage pods need it; pod security is by namespace
	s.Config("profiling", strconv.FormatBool(cfg.Debug))
	// To the endpoints and not to the Service's address: this works before,
	// and without, kube-proxy on this machine.
	s.Default("enable-aggregator-routing", "true")
	s.Default(egressArg, EgressFile(p))
	// Names of nodes need not resolve.
	s.Default("kubelet-preferred-address-types", "InternalIP", "ExternalIP", "Hostname")
	flags.ApplyGates(s, gates)
	flags.Common(s)
	for name, r := range removed {
		s.Removed(name, r.Release, r.Successor)
	}
	return s
}

func listenerArgs(s *args.Set, cfg config.Config, p config.Paths) {
	serving := pki.FilesOf(p, pki.APIServer)
	s.Owned("bind-address", loopbackOf(cfg.API).String(), "set api.bindAddress instead")
	s.Owned("secure-port", strconv.Itoa(int(cfg.API.HTTPSPort)), "set api.httpsPort instead")
	s.Owned("tls-cert-file", serving.Cert, "set api.tlsSANs for further names, or tls-sni-cert-key")
	s.Owned("tls-private-key-file", serving.Key, "set api.tlsSANs for further names, or tls-sni-cert-key")
	s.Default("tls-cipher-suites", cipherSuites...)
	s.Default("tls-min-version", "VersionTLS12")
	if cfg.API.AdvertiseAddress.IsValid() {
		s.Owned("advertise-address", cfg.API.AdvertiseAddress.String(), "set api.advertiseAddress instead")
	}
	const front = "there is one listener, with the API's own figures"
	for _, name := range []string{"cert-dir", "disable-http2-serving", "http2-max-streams-per-connection", "permit-address-sharing", "permit-port-sharing"} {
		s.Refused(name, front)
	}
}

func datastoreArgs(s *args.Set, store Datastore) {
	s.Owned("storage-backend", "etcd3", datastore)
	s.Owned("etcd-servers", strings.Join(store.URLs, ","), datastore)
	for name, file := range map[string]string{"etcd-cafile": store.CAFile, "etcd-certfile": store.CertFile, "etcd-keyfile": store.KeyFile} {
		if file != "" {
			s.Owned(name, file, datastore)
		} else {
			s.Refused(name, datastore)
		}
	}
}

// identityArgs are who may come in, and who the API is to others.
func identityArgs(s *args.Set, cfg config.Config, p config.Paths) {
	kubelet, aggregator := pki.FilesOf(p, pki.APIServerKubeletClient), pki.FilesOf(p, pki.Aggregator)
	private, public := pki.ServiceAccountFiles(p)
	issuer := "https://kubernetes.default.svc." + cfg.Network.ClusterDomain
	s.Owned("client-ca-file", pki.AuthorityFiles(p, pki.ClientCA).Cert, ownCerts)
	s.Owned("kubelet-certificate-authority", pki.AuthorityFiles(p, pki.ServerCA).Cert, ownCerts)
	s.Owned("kubelet-client-certificate", kubelet.Cert, ownCerts)
	s.Owned("kubelet-client-key", kubelet.Key, ownCerts)
	s.Owned("proxy-client-cert-file", aggregator.Cert, ownCerts)
	s.Owned("proxy-client-key-file", aggregator.Key, ownCerts)
	s.Owned("requestheader-client-ca-file", pki.AuthorityFiles(p, pki.RequestHeaderCA).Cert, ownCerts)
	s.Owned("requestheader-allowed-names", "system:auth-proxy", fixed)
	s.Owned("requestheader-extra-headers-prefix", "X-Remote-Extra-", fixed)
	s.Owned("requestheader-group-headers", "X-Remote-Group", fixed)
	s.Owned("requestheader-username-headers", "X-Remote-User", fixed)
	s.Owned("requestheader-uid-headers", "X-Remote-Uid", fixed)
	s.Owned("service-account-key-file", public, ownCerts)
	s.Owned("service-account-signing-key-file", private, ownCerts)
	s.Config("service-account-issuer", issuer)
	// Upstream makes pods' tokens good for a year where they say an hour, for
	// clients of 2021 and before that read theirs once.
	s.Default("service-account-extend-token-expiration", "false")
	s.Config("api-audiences", issuer, "kelp")
	if !gives(cfg.Args.APIServer, "authorization-config") {
		s.Default("authorization-mode", "Node", "RBAC")
	}
	if !gives(cfg.Args.APIServer, "authentication-config", "anonymous-auth", "oidc-") {
		s.Default(authenticationArg, AuthenticationFile(p))
	} else if !gives(cfg.Args.APIServer, "authentication-config") {
		// oidc-… cannot stand beside the file, and the health endpoints
		// then need credentials like everything else.
		s.Default("anonymous-auth", "false")
	}
}

// gives tells whether the user gives one of the arguments, or one that
// begins with a name that ends in a dash.
func gives(user []string, names ...string) bool {
	return slices.ContainsFunc(user, func(arg string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		name = strings.ReplaceAll(name, "_", "-")
		return slices.ContainsFunc(names, func(n string) bool {
			return name == n || strings.HasSuffix(n, "-") && strings.HasPrefix(name, n)
		})
	})
}

// loopbackOf is the address at which this machine reaches the listener.
func loopbackOf(api config.API) netip.Addr {
	switch bind := api.BindAddress; {
	case !bind.IsValid() || bind == netip.IPv4Unspecified():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case bind == netip.IPv6Unspecified():
		return netip.IPv6Loopback()
	default:
		return bind
	}
}

func prefixes(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.String()
	}
	return out
}
