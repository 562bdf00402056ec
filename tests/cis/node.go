package cis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
)

func kubelet() []Control {
	const renews = "kelp renews the kubelet's certificates itself, while it runs"
	return []Control{
		{"4.2.1", "Nobody is let in without a name", Passes, "", all(strangersAreRefused, of(func(k kubeletv1beta1.KubeletConfiguration) bool {
			return k.Authentication.Anonymous.Enabled != nil && !*k.Authentication.Anonymous.Enabled
		}, "authentication.anonymous"))},
		{"4.2.2", "Not everything is allowed", Passes, "the API server is asked", of(func(k kubeletv1beta1.KubeletConfiguration) bool {
			return k.Authorization.Mode == kubeletv1beta1.KubeletAuthorizationModeWebhook
		}, "authorization.mode")},
		{"4.2.3", "Clients' certificates have an authority", Passes, "", of(func(k kubeletv1beta1.KubeletConfiguration) bool { return k.Authentication.X509.ClientCAFile != "" }, "authentication.x509.clientCAFile")},
		{"4.2.4", "The port that only reads is off", Passes, "", all(answers(":10255/pods", "000"), of(func(k kubeletv1beta1.KubeletConfiguration) bool { return k.ReadOnlyPort == 0 }, "readOnlyPort"))},
		{"4.2.5", "Idle streams end", Passes, "after four hours", of(func(k kubeletv1beta1.KubeletConfiguration) bool {
			return k.StreamingConnectionIdleTimeout.Duration > 0 && k.StreamingConnectionIdleTimeout.Duration <= 4*time.Hour
		}, "streamingConnectionIdleTimeout")},
		{"4.2.6", "The kubelet keeps its chains of packet rules", Passes, "", of(func(k kubeletv1beta1.KubeletConfiguration) bool {
			return k.MakeIPTablesUtilChains == nil || *k.MakeIPTablesUtilChains
		}, "makeIPTablesUtilChains")},
		{"4.2.7", "The kubelet's name is not overridden", Absent, "kelp gives it the name that is [bound to the machine](joining.md#what-happens) and stands in its certificate", nil},
		{"4.2.8", "Events are recorded at a sensible rate", Passes, "upstream's 50 a second", of(func(k kubeletv1beta1.KubeletConfiguration) bool {
			return k.EventRecordQPS != nil && *k.EventRecordQPS > 0
		}, "eventRecordQPS")},
		{"4.2.9", "It serves with a certificate that was given to it", Passes, "", of(func(k kubeletv1beta1.KubeletConfiguration) bool {
			return k.TLSCertFile != "" && k.TLSPrivateKeyFile != ""
		}, "tlsCertFile")},
		{"4.2.10", "It renews its client certificate", Absent, renews, nil},
		{"4.2.11", "It renews its serving certificate", Absent, renews, nil},
		{"4.2.12", "TLS uses strong ciphers only", Passes, "", ciphers(func(e Evidence) []string { return e.Kubelet.TLSCipherSuites })},
		{"4.2.13", "A pod may have so many processes", Setting, "`podPidsLimit: 4096`", of(func(k kubeletv1beta1.KubeletConfiguration) bool { return k.PodPidsLimit != nil && *k.PodPidsLimit > 0 }, "podPidsLimit")},
		{"4.2.14", "Containers have the runtime's seccomp profile unless they say another", Passes, "", seccomp},
	}
}

func kubeProxy() []Control {
	return []Control{{"4.3.1", "Its metrics are on loopback", Passes, "", onLoopback("10249")}}
}

var seccomp = of(func(k kubeletv1beta1.KubeletConfiguration) bool { return k.SeccompDefault != nil && *k.SeccompDefault }, "seccompDefault")

// of looks at the configuration that the node's kubelet says it has.
func of(good func(kubeletv1beta1.KubeletConfiguration) bool, field string) Check {
	return func(e Evidence) error {
		if e.Kubelet.Kind == "" || !good(e.Kubelet) {
			return fmt.Errorf("the kubelet's %s is not as it should be", field)
		}
		return nil
	}
}

// strong are the suites that the benchmark names, without those of TLS 1.3, which
// cannot be chosen.
var strong = []string{
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}

// ciphers wants a list of suites that has strong ones alone.
func ciphers(list func(Evidence) []string) Check {
	return func(e Evidence) error {
		suites := list(e)
		if len(suites) == 0 {
			return fmt.Errorf("no suites are chosen, and the library's are more than the strong ones")
		}
		for _, s := range suites {
			if !slices.Contains(strong, s) {
				return fmt.Errorf("the suite %q is not one of %s", s, strings.Join(strong, ", "))
			}
		}
		return nil
	}
}

// answers wants a stranger to be answered with an HTTP status; 000 is no answer.
func answers(at, want string) Check {
	return func(e Evidence) error {
		if got := e.Answers[at]; got != want {
			return fmt.Errorf("%s answers a stranger with %q, want %s", at, got, want)
		}
		return nil
	}
}

// strangersAreRefused is what a stranger who asks for more than health is told.
func strangersAreRefused(e Evidence) error {
	ports := []string{":10250/pods"}
	if e.Server {
		ports = append(ports, ":6443/api", ":6443/metrics")
	}
	for _, at := range ports {
		if err := answers(at, "401")(e); err != nil {
			return err
		}
	}
	return nil
}

// onLoopback wants a port to be listened on, and on loopback alone.
func onLoopback(port string) Check {
	return func(e Evidence) error {
		found := false
		for _, address := range e.Listening {
			host, at, _ := cutLast(address, ":")
			if at != port {
				continue
			}
			found = true
			if host = strings.Trim(host, "[]"); !strings.HasPrefix(host, "127.") && host != "::1" {
				return fmt.Errorf("port %s is open on %s", port, host)
			}
		}
		if !found {
			return fmt.Errorf("nobody listens on port %s", port)
		}
		return nil
	}
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}
