package cis

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The components, as kelp args names them.
const (
	api     = "kube-apiserver"
	manager = "kube-controller-manager"
	sched   = "kube-scheduler"
	store   = "etcd"
)

func apiServer() []Control {
	return []Control{
		{"1.2.1", "Nobody is let in without a name", Setting, "`anonymous-auth=false`; without it `/livez`, `/readyz` and `/healthz` answer everybody, and nothing else does", all(argument(api, "anonymous-auth", "false"), answers(":6443/livez", "401"), strangersAreRefused)},
		{"1.2.2", "There is no file of fixed tokens", Passes, "", absent(api, "token-auth-file")},
		{"1.2.3", "Services cannot claim outside addresses", Setting, "`DenyServiceExternalIPs`", contains(api, "enable-admission-plugins", "DenyServiceExternalIPs")},
		{"1.2.4", "The API server has a certificate for kubelets", Passes, "", given(api, "kubelet-client-certificate", "kubelet-client-key")},
		{"1.2.5", "It verifies kubelets' certificates", Passes, "", given(api, "kubelet-certificate-authority")},
		{"1.2.6", "Not everything is allowed", Passes, "", all(lacks(api, "authorization-mode", "AlwaysAllow"), strangersAreRefused)},
		{"1.2.7", "Nodes are authorized as nodes", Passes, "", contains(api, "authorization-mode", "Node")},
		{"1.2.8", "RBAC is used", Passes, "", contains(api, "authorization-mode", "RBAC")},
		{"1.2.9", "Events are limited in number", Setting, "`EventRateLimit`", all(contains(api, "enable-admission-plugins", "EventRateLimit"), given(api, "admission-control-config-file"))},
		{"1.2.10", "The admission plugin AlwaysAdmit is off", Passes, "", lacks(api, "enable-admission-plugins", "AlwaysAdmit")},
		{"1.2.11", "Images are pulled at each start", Absent, "kelp's own images are in no registry; the kubelet checks whether a pod may use an image that was pulled with others' credentials", nil},
		{"1.2.12", "The admission plugin ServiceAccount is on", Passes, "", lacks(api, "disable-admission-plugins", "ServiceAccount")},
		{"1.2.13", "The admission plugin NamespaceLifecycle is on", Passes, "", lacks(api, "disable-admission-plugins", "NamespaceLifecycle")},
		{"1.2.14", "The admission plugin NodeRestriction is on", Passes, "", contains(api, "enable-admission-plugins", "NodeRestriction")},
		{"1.2.15", "Profiling is off", Passes, "`debug` turns it on", argument(api, "profiling", "false")},
		{"1.2.16", "There is an audit log", Setting, "`audit-log-path`", given(api, "audit-log-path", "audit-policy-file")},
		{"1.2.17", "It is kept for 30 days", Setting, "`audit-log-maxage=30`", atLeast(api, "audit-log-maxage", 30)},
		{"1.2.18", "Ten old files of it are kept", Setting, "`audit-log-maxbackup=10`", atLeast(api, "audit-log-maxbackup", 10)},
		{"1.2.19", "A file of it may have 100 MB", Setting, "`audit-log-maxsize=100`", atLeast(api, "audit-log-maxsize", 100)},
		{"1.2.20", "Requests end in time", Passes, "upstream's minute", requestTimeout},
		{"1.2.21", "A service account's token ends with the account", Passes, "", notFalse(api, "service-account-lookup")},
		{"1.2.22", "Service accounts' tokens have a key of their own", Passes, "", given(api, "service-account-key-file")},
		{"1.2.23", "The API server has a certificate for etcd", Passes, "with SQLite it is a socket, 0600", etcdOr("etcd-certfile", "etcd-keyfile")},
		{"1.2.24", "The API is served with TLS", Passes, "", given(api, "tls-cert-file", "tls-private-key-file")},
		{"1.2.25", "Clients' certificates have an authority", Passes, "", given(api, "client-ca-file")},
		{"1.2.26", "The API server verifies etcd's certificate", Passes, "with SQLite it is a socket, 0600", etcdOr("etcd-cafile")},
		{"1.2.27", "Secrets are encrypted at rest", Passes, "[secrets at rest](encryption.md)", given(api, "encryption-provider-config")},
		{"1.2.28", "The first provider is a good one", Passes, "`secretbox`", encrypted},
		{"1.2.29", "TLS uses strong ciphers only", Passes, "", ciphers(func(e Evidence) []string { return strings.Split(e.Args[api]["tls-cipher-suites"], ",") })},
		{"1.2.30", "Pods' tokens are not good for longer than they say", Passes, "", argument(api, "service-account-extend-token-expiration", "false")},
	}
}

func controllerManager() []Control {
	return []Control{
		{"1.3.1", "Pods that have ended are collected", Setting, "`terminated-pod-gc-threshold=100`; upstream begins at 12 500", given(manager, "terminated-pod-gc-threshold")},
		{"1.3.2", "Profiling is off", Passes, "", argument(manager, "profiling", "false")},
		{"1.3.3", "Each controller has an account of its own", Passes, "", argument(manager, "use-service-account-credentials", "true")},
		{"1.3.4", "Service accounts' tokens are signed with a key of their own", Passes, "", given(manager, "service-account-private-key-file")},
		{"1.3.5", "Pods know the API's authority", Passes, "", given(manager, "root-ca-file")},
		{"1.3.6", "Kubelets' serving certificates may be renewed", Passes, "kelp renews them itself", lacks(manager, "feature-gates", "RotateKubeletServerCertificate=false")},
		{"1.3.7", "It listens on loopback", Passes, "", all(argument(manager, "bind-address", "127.0.0.1"), onLoopback("10257"))},
	}
}

func scheduler() []Control {
	return []Control{
		{"1.4.1", "Profiling is off", Passes, "", argument(sched, "profiling", "false")},
		{"1.4.2", "It listens on loopback", Passes, "", all(argument(sched, "bind-address", "127.0.0.1"), onLoopback("10259"))},
	}
}

// SQLite is behind a socket that is root's alone; these are of etcd, which takes its
// place when a second server joins.
func etcd() []Control {
	return []Control{
		{"2.1", "etcd serves clients with TLS", Passes, "", given(store, "cert-file", "key-file")},
		{"2.2", "It wants clients' certificates", Passes, "", all(argument(store, "client-cert-auth", "true"), etcdWantsCertificates)},
		{"2.3", "It does not make certificates of its own", Passes, "", absent(store, "auto-tls")},
		{"2.4", "Members use TLS among themselves", Passes, "", given(store, "peer-cert-file", "peer-key-file")},
		{"2.5", "They want each other's certificates", Passes, "", argument(store, "peer-client-cert-auth", "true")},
		{"2.6", "They do not make certificates of their own", Passes, "", absent(store, "peer-auto-tls")},
		{"2.7", "etcd's authority is no other component's", Passes, "`etcd-ca`", ownAuthority},
	}
}

// atLeast wants an argument to be a number that is not below least.
func atLeast(component, name string, least int) Check {
	return func(e Evidence) error {
		if n, err := strconv.Atoi(e.Args[component][name]); err != nil || n < least {
			return fmt.Errorf("%s has --%s=%q, want %d or more", component, name, e.Args[component][name], least)
		}
		return nil
	}
}

// notFalse wants an argument to be absent, as its default is true, or true.
func notFalse(component, name string) Check {
	return func(e Evidence) error {
		if len(e.Args[component]) == 0 || e.Args[component][name] == "false" {
			return fmt.Errorf("%s has --%s=%q", component, name, e.Args[component][name])
		}
		return nil
	}
}

// longest is what the benchmark has as an example of a timeout.
const longest = 5 * time.Minute

func requestTimeout(e Evidence) error {
	text, ok := e.Args[api]["request-timeout"]
	if !ok && len(e.Args[api]) > 0 {
		return nil
	}
	if d, err := time.ParseDuration(text); err != nil || d <= 0 || d > longest {
		return fmt.Errorf("--request-timeout is %q", text)
	}
	return nil
}

// etcdOr wants arguments for etcd, or a socket that is root's alone.
func etcdOr(names ...string) Check {
	return func(e Evidence) error {
		if path, ok := strings.CutPrefix(e.Args[api]["etcd-servers"], "unix://"); ok {
			return all(modes(path, 0o600), roots(path))(e)
		}
		return given(api, names...)(e)
	}
}

// encrypted wants the provider that Secrets are written with to be one of the good ones.
func encrypted(e Evidence) error {
	if !slices.Contains([]string{"secretbox", "aescbc", "kms"}, e.Provider) {
		return fmt.Errorf("the provider that Secrets are written with is %q", e.Provider)
	}
	return nil
}

func ownAuthority(e Evidence) error {
	trusted := e.Args[store]["trusted-ca-file"]
	if trusted == "" || trusted == e.Args[api]["client-ca-file"] || trusted == e.Args[api]["kubelet-certificate-authority"] {
		return fmt.Errorf("etcd trusts %q", trusted)
	}
	return nil
}

// etcdWantsCertificates is looked at where etcd runs.
func etcdWantsCertificates(e Evidence) error {
	if strings.HasPrefix(e.Args[api]["etcd-servers"], "unix://") {
		return nil
	}
	if code := e.Answers[":2379/health"]; code != "000" { // no answer: the handshake is refused
		return errors.New("etcd answers a client without a certificate with " + code)
	}
	return nil
}
