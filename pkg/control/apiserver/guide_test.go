package apiserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/guide"
)

// guideServer is an API server with a command of the guide's, on SQLite.
func guideServer(command []string) *APIServer {
	cfg := sample()
	cfg.Args.APIServer = command
	return New(cfg, Inputs{Paths: cfg.Paths(), Datastore: sqlite})
}

// The guide's command as it stands is refused for what is gone and for what is kelp's.
func TestGuideCommandIsRefusedByName(t *testing.T) {
	t.Parallel()
	_, err := guideServer(guide.Command("kube-apiserver.yaml")).Merged()
	if err == nil {
		t.Fatal("it was accepted")
	}
	const certs, store = "its certificates are kelp's: see kelp certificate", "set datastore.kind, or datastore.endpoint and the files beside it"
	want := []string{
		`"--bind-address=0.0.0.0": bind-address is set by kelp; set api.bindAddress instead`,
		`"--client-ca-file=/etc/kubernetes/pki/ca.crt": client-ca-file is set by kelp; ` + certs,
		`"--etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt": etcd-cafile is not for kelp: ` + store,
		`"--etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt": etcd-certfile is not for kelp: ` + store,
		`"--etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key": etcd-keyfile is not for kelp: ` + store,
		`"--etcd-servers=https://127.0.0.1:2379": etcd-servers is set by kelp; ` + store,
		`"--insecure-port=0": insecure-port was removed in v1.24; the API is served over TLS only; set api.httpsPort`,
		`"--kubelet-certificate-authority=/etc/kubernetes/pki/ca.crt": kubelet-certificate-authority is set by kelp; ` + certs,
		`"--kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt": kubelet-client-certificate is set by kelp; ` + certs,
		`"--kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key": kubelet-client-key is set by kelp; ` + certs,
		`"--proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt": proxy-client-cert-file is set by kelp; ` + certs,
		`"--proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key": proxy-client-key-file is set by kelp; ` + certs,
		`"--requestheader-allowed-names=front-proxy-client": requestheader-allowed-names is set by kelp; kelp alone decides this`,
		`"--requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt": requestheader-client-ca-file is set by kelp; ` + certs,
		`"--service-account-key-file=/etc/kubernetes/pki/sa.pub": service-account-key-file is set by kelp; ` + certs,
		`"--service-account-signing-key-file=/etc/kubernetes/pki/sa.key": service-account-signing-key-file is set by kelp; ` + certs,
		`"--tls-cert-file=/etc/kubernetes/pki/apiserver.crt": tls-cert-file is set by kelp; set api.tlsSANs for further names, or tls-sni-cert-key`,
		`"--tls-private-key-file=/etc/kubernetes/pki/apiserver.key": tls-private-key-file is set by kelp; set api.tlsSANs for further names, or tls-sni-cert-key`,
	}
	if got := strings.ReplaceAll(err.Error(), "kube-apiserver argument ", ""); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// So is that of one of several masters: servers of kelp find each other.
func TestGuideCommandOfOneOfSeveral(t *testing.T) {
	t.Parallel()
	_, err := guideServer(guide.Command("kube-apiserver-ha.yaml")).Merged()
	want := `kube-apiserver argument "--advertise-address=10.0.1.10": advertise-address is set by kelp; set api.advertiseAddress instead
kube-apiserver argument "--etcd-servers=https://10.0.1.10:2379,https://10.0.1.11:2379,https://10.0.1.12:2379": etcd-servers is set by kelp; set datastore.kind, or datastore.endpoint and the files beside it`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// guideRefused are the flags of the guide's command that TestGuideCommandIsRefusedByName
// names.
var guideRefused = []string{
	"bind-address", "client-ca-file", "etcd-cafile", "etcd-certfile", "etcd-keyfile", "etcd-servers", "insecure-port", "kubelet-certificate-authority",
	"kubelet-client-certificate", "kubelet-client-key", "proxy-client-cert-file", "proxy-client-key-file", "requestheader-allowed-names",
	"requestheader-client-ca-file", "service-account-key-file", "service-account-signing-key-file", "tls-cert-file", "tls-private-key-file",
}

const guidePolicy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"

// guideRest is all the rest of the guide's command, with an audit policy.
func guideRest(t *testing.T, policy string) ([]string, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "audit-policy.yaml")
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	command := guide.Keep(guide.Command("kube-apiserver.yaml"), guideRefused...)
	for i := range command {
		command[i] = strings.Replace(command[i], "/etc/kubernetes/audit-policy.yaml", path, 1)
	}
	return command, dir + "/"
}

// All the rest is in force.
func TestGuideCommand(t *testing.T) {
	t.Parallel()
	command, _ := guideRest(t, guidePolicy)
	a := guideServer(command)
	if _, err := a.Merged(); err != nil {
		t.Fatal(err)
	}
	opts, all, set, err := a.options()
	if err != nil {
		t.Fatal(err)
	}
	if err := all.Parse(set); err != nil {
		t.Fatal(err)
	}
	log := opts.Audit.LogOptions
	for what, as := range map[string]bool{
		"authorization": strings.Join(opts.Authorization.Modes, ",") == "Node,RBAC",
		"admission":     strings.Join(opts.Admission.GenericAdmission.EnablePlugins, ",") == "NodeRestriction,NamespaceLifecycle,LimitRanger,ServiceAccount,DefaultStorageClass,DefaultTolerationSeconds,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ResourceQuota",
		"requests":      opts.Features.EnablePriorityAndFairness && opts.GenericServerRunOptions.MaxRequestsInFlight == 400 && opts.GenericServerRunOptions.MaxMutatingRequestsInFlight == 200,
		"audit":         log.Path == "/var/log/audit.log" && log.MaxAge == 30 && log.MaxBackups == 3 && log.MaxSize == 100,
		"watch caches":  strings.Join(opts.Etcd.WatchCacheSizes, ",") == "pods#1000,nodes#100",
		"APIs":          opts.APIEnablement.RuntimeConfig["api/all"] == "true",
		"strangers":     !opts.Authentication.Anonymous.Allow && opts.Authentication.AuthenticationConfigFile == "",
		"issuer":        strings.Join(opts.Authentication.ServiceAccounts.Issuers, ",") == "https://kubernetes.default.svc.cluster.local",
	} {
		if !as {
			t.Errorf("the guide's settings of %s are not in force: %v", what, set.Render())
		}
	}
}

func TestAuditPolicyIsReadBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]string{
		strings.Replace(guidePolicy, "/v1", "/v1beta1", 1):     "audit-policy.yaml:1: audit.k8s.io/v1beta1 was removed in v1.24; write audit.k8s.io/v1",
		strings.Replace(guidePolicy, "level", "levl", 1):       `audit-policy.yaml:4: Policy has no field "rules[0].levl"; did you mean level?`,
		strings.Replace(guidePolicy, "Metadata", "Metdata", 1): "audit policy: rules[0].level: Unsupported value",
		"kind: Policy\n": "audit-policy.yaml:1: apiVersion and kind must be audit.k8s.io/v1 and Policy",
	} {
		command, dir := guideRest(t, policy)
		_, err := guideServer(command).Merged()
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir, ""), want) {
			t.Errorf("%s:\n got %v\nwant %s", policy, err, want)
		}
	}
	if _, err := guideServer([]string{"audit-policy-file=/no/such/file"}).Merged(); err == nil || !strings.Contains(err.Error(), `kube-apiserver argument "audit-policy-file=/no/such/file": open`) {
		t.Errorf("a policy that is missing: %v", err)
	}
}
