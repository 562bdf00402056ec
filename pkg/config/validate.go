package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Packaged are the names of the components that kelp deploys and that
// Components.Disable accepts.
var Packaged = []string{"coredns", "local-storage", "metrics-server", NetworkPolicy, "runtimes", "servicelb"}

// NetworkPolicy is the name of the component that enforces NetworkPolicies.
const NetworkPolicy = "network-policy"

// elsewhere says, for names that users of similar tools disable, why there is
// nothing to disable.
var elsewhere = map[string]string{
	"traefik":    "kelp packages no ingress controller, so there is nothing to disable",
	"ccm":        "kelp runs no cloud controller, so there is nothing to disable",
	"etcd":       "choose the datastore with --datastore",
	"local-path": "it is called local-storage",
}

// checker collects the problems of one configuration.
type checker struct {
	cfg     Config
	origins Origins
	errs    []error
}

// addf adds a problem of the field at path.
func (k *checker) addf(path, format string, args ...any) {
	k.errs = append(k.errs, fmt.Errorf("%s: %s", k.origins.where(path), fmt.Sprintf(format, args...)))
}

// between adds a problem between two fields, at the one that the user has set:
// at the first, unless only the second is not a default.
func (k *checker) between(path, other string, message, mirrored, advice string) {
	if _, given := k.origins[path]; !given {
		if o, given := k.origins[other]; given && !o.Machine {
			path, other, message = other, path, mirrored
		}
	}
	k.addf(path, "%s (%s); %s", message, k.origins[other], advice)
}

// Validate reports every problem of a completed configuration, joined, in the
// order of the fields; each begins with the place where the user can mend it.
// Addresses that Complete could not find are not its business.
func (c Config) Validate(o Origins) error {
	k := &checker{cfg: c, origins: o}
	k.paths()
	k.node()
	k.api()
	k.network()
	k.disable()
	k.datastore()
	k.snapshots()
	k.s3()
	k.arguments()
	return errors.Join(k.errs...)
}

func (k *checker) paths() {
	for _, p := range []struct{ path, value string }{
		{"dataDir", k.cfg.DataDir},
		{"kubeconfig.path", k.cfg.Kubeconfig.Path},
		{"kubelet.configDir", k.cfg.Kubelet.ConfigDir},
		{"containerd.configDir", k.cfg.Containerd.ConfigDir},
		{"containerd.registries", k.cfg.Containerd.Registries},
	} {
		switch {
		case p.value == "":
			k.addf(p.path, "is empty")
		case !filepath.IsAbs(p.value):
			k.addf(p.path, "%q is not an absolute path", p.value)
		case strings.ContainsAny(p.value, "\x00\n"):
			k.addf(p.path, "%q holds a control character", p.value)
		}
	}
	if clean := filepath.Clean(k.cfg.DataDir); slices.Contains([]string{"/", "/run", "/proc", "/sys", "/dev", "/etc"}, clean) {
		k.addf("dataDir", "%q is not a directory that kelp may have for itself", k.cfg.DataDir)
	}
	if s := k.cfg.Server; s != "" {
		if _, err := ServerAddress(s); err != nil {
			k.addf("server", "%s", err)
		}
	}
	if f := k.cfg.TokenFile; f != "" && !filepath.IsAbs(f) {
		k.addf("tokenFile", "%q is not an absolute path", f)
	}
	if k.cfg.Token != "" && k.cfg.TokenFile != "" {
		k.addf("tokenFile", "a token is given, too (%s); remove one of them", k.origins["token"])
	}
	if k.cfg.Token == redacted {
		k.addf("token", "%s is what kelp prints in place of a secret, not the secret", redacted)
	}
	if strings.ContainsAny(k.cfg.Token, " \t\r\n\x00") {
		k.addf("token", "holds a blank or a line break") // and never the token itself
	}
	if m := k.cfg.Kubeconfig.Mode; m&0o400 == 0 {
		text, _ := m.MarshalText() // cannot fail
		k.addf("kubeconfig.mode", "with %s its owner cannot read the file", text)
	}
}

func (k *checker) api() {
	bind, advertise := k.cfg.API.BindAddress, k.cfg.API.AdvertiseAddress
	isNodes := slices.Index(k.cfg.Node.IPs, advertise) == 0 // then node says what is wrong
	if port := k.cfg.API.HTTPSPort; slices.Contains(reservedPorts, port) {
		k.addf("api.httpsPort", "port %d is used by Kubernetes itself; choose another", port)
	}
	if bind.IsValid() && bind.IsMulticast() {
		k.addf("api.bindAddress", "%s is a multicast address", bind)
	}
	if advertise.IsValid() && !advertise.IsGlobalUnicast() && !isNodes {
		k.addf("api.advertiseAddress", "%s is not an address that others can reach", advertise)
	}
	sameFamilies := familiesOf(k.cfg.Network.ClusterCIDRs) == familiesOf(k.cfg.Network.ServiceCIDRs) // else network says so
	if cidrs := k.cfg.Network.ServiceCIDRs; !isNodes && sameFamilies && advertise.IsValid() && len(cidrs) > 0 && advertise.Is6() != cidrs[0].Addr().Is6() {
		k.addf("api.advertiseAddress", "%s is %s, but the first service range %s is %s; Kubernetes wants one family for both",
			advertise, family(advertise), cidrs[0], family(cidrs[0].Addr()))
	}
	for _, san := range k.cfg.API.TLSSANs {
		if _, err := netip.ParseAddr(san); err == nil {
			continue
		}
		name := strings.ToLower(san)
		if len(validation.IsDNS1123Subdomain(name)) > 0 && len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
			k.addf("api.tlsSANs", "%q is neither an address nor a host name%s", san, portHint(san))
		}
	}
}

// reservedPorts are those that the components listen on beside our port:
// kubelet, read-only kubelet, controller-manager, scheduler, proxy health and
// metrics, etcd client, peer and metrics.
var reservedPorts = []uint16{10250, 10248, 10255, 10257, 10259, 10256, 10249, 2379, 2380, 2381}

func portHint(san string) string {
	if _, err := netip.ParseAddrPort(san); err == nil || strings.Contains(san, "://") {
		return "; leave out scheme and port"
	}
	return ""
}

func (k *checker) disable() {
	for _, name := range k.cfg.Components.Disable {
		switch why, known := elsewhere[name]; {
		case slices.Contains(Packaged, name):
		case known:
			k.addf("components.disable", "%q: %s", name, why)
		default:
			k.addf("components.disable", "%q is not a packaged component (%s)%s", name, strings.Join(Packaged, ", "), didYouMean(name, Packaged))
		}
	}
}

// arguments checks the form alone; what the names may be is known to the
// components' own packages.
func (k *checker) arguments() {
	for _, f := range fields {
		if !f.Commas {
			continue
		}
		for _, arg := range f.plain(k.cfg) {
			name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
			switch bare := strings.TrimLeft(name, "-"); {
			case bare == "" || strings.ContainsAny(bare, " \t\r\n"):
				k.addf(f.Path, "%q is not name=value", arg)
			case bare != name:
				k.addf(f.Path, "%q: write it as name=value or --name=value", arg)
			}
		}
	}
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "IPv6"
	}
	return "IPv4"
}
