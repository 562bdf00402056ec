package cis

import (
	"strings"
	"testing"
)

// Each check fails on the mistake that it is there to find, and passes without it.
func TestChecks(t *testing.T) {
	t.Parallel()
	files := func(list ...File) Evidence { return Evidence{Files: list} }
	args := func(component, name, value string) Evidence {
		return Evidence{Args: map[string]map[string]string{component: {name: value}}}
	}
	for name, c := range map[string]struct {
		check     Check
		good, bad Evidence
		says      string
	}{
		"a mode": {
			modes(admin, 0o600), files(File{"/etc/kelp/kubeconfig.yaml", 0o400, "root:root"}),
			files(File{"/etc/kelp/kubeconfig.yaml", 0o640, "root:root"}), "has the mode 640",
		},
		"one mode of many": {
			modes(certificates("key"), 0o600), files(File{"/var/lib/kelp/server/tls/a.key", 0o600, ""}),
			files(File{"/var/lib/kelp/server/tls/a.key", 0o600, ""}, File{"/var/lib/kelp/agent/tls/b.key", 0o644, ""}), "b.key has the mode 644",
		},
		"an owner": {
			roots(pkiFiles), files(File{"/var/lib/kelp/server/tls", 0o700, "root:root"}),
			files(File{"/var/lib/kelp/server/tls/a.crt", 0o600, "root:users"}), "is root:users's",
		},
		"a file that is not there": {
			modes(units, 0o600), files(File{"/usr/lib/systemd/system/kelp-agent.service", 0o600, ""}),
			files(File{"/usr/lib/systemd/system/kelper.service", 0o600, ""}), "there is no file",
		},
		"an item of a list":       {contains(api, "a", "y"), args(api, "a", "x,y"), args(api, "a", "x,yy"), "without y"},
		"an item that is bad":     {lacks(api, "a", "y"), args(api, "a", "x"), args(api, "a", "x,y"), "has y"},
		"a number":                {atLeast(api, "a", 30), args(api, "a", "30"), args(api, "a", "29"), "want 30 or more"},
		"a switch that is on":     {notFalse(api, "a"), args(api, "b", ""), args(api, "a", "false"), "false"},
		"a switch that is off":    {notTrue(api, "a"), args(api, "a", "false"), args(api, "a", "true"), "true"},
		"a timeout":               {requestTimeout, args(api, "request-timeout", "1m0s"), args(api, "request-timeout", "1h0m0s"), "1h"},
		"a cipher":                {ciphers(suitesOf), args(api, "s", strong[0]), args(api, "s", strong[0]+",TLS_RSA_WITH_AES_128_CBC_SHA"), "CBC"},
		"a provider":              {encrypted, Evidence{Provider: "secretbox"}, Evidence{Provider: "identity"}, "identity"},
		"a port":                  {onLoopback("10249"), Evidence{Listening: []string{"[::1]:10249", "127.0.0.1:10249"}}, Evidence{Listening: []string{"127.0.0.1:10249", "0.0.0.0:10249"}}, "open on 0.0.0.0"},
		"a port that is closed":   {onLoopback("10249"), Evidence{Listening: []string{"127.0.0.1:10249"}}, Evidence{Listening: []string{"127.0.0.1:1"}}, "nobody listens"},
		"a stranger":              {answers(":1/", "401"), Evidence{Answers: map[string]string{":1/": "401"}}, Evidence{Answers: map[string]string{":1/": "200"}}, "200"},
		"an administrator":        {clusterAdmins, Evidence{Admins: []string{"cluster-admin Group system:masters"}}, Evidence{Admins: []string{"cluster-admin Group system:masters", "mine User me"}}, "mine User me"},
		"a right":                 {packagedMayNot("get secrets"), Evidence{Rights: map[string]map[string]bool{"get secrets": {"a": false}}}, Evidence{Rights: map[string]map[string]bool{"get secrets": {"a": false, "b": true}}}, "b may get secrets"},
		"a role":                  {rolesLack("*"), Evidence{Roles: []Role{{"a", []string{"get"}}}}, Evidence{Roles: []Role{{"a", []string{"get"}}, {"b", []string{"*"}}}}, "the role b"},
		"a pod":                   {refused("root"), Evidence{Admitted: map[string]bool{"modest": true, "root": false}}, Evidence{Admitted: map[string]bool{"modest": true, "root": true}}, "is let in"},
		"no pod at all":           {refused("root"), Evidence{Admitted: map[string]bool{"modest": true, "root": false}}, Evidence{Admitted: map[string]bool{"modest": false, "root": false}}, "asks for nothing"},
		"a Secret's content":      {audited, Evidence{Audit: traces}, Evidence{Audit: append([]Event{{"secrets", "get", "Request"}}, traces...)}, "at the level Request"},
		"a policy that sees less": {audited, Evidence{Audit: traces}, Evidence{Audit: traces[1:]}, "does not have secrets get Metadata"},
		"network policies":        {policies, Evidence{Components: map[string]string{"network-policy": "ready"}}, Evidence{Components: map[string]string{"network-policy": "skipped"}}, "skipped"},
		"an authority for all":    {ownAuthority, args(store, "trusted-ca-file", "/etcd"), Evidence{Args: map[string]map[string]string{store: {"trusted-ca-file": "/ca"}, api: {"client-ca-file": "/ca"}}}, "/ca"},
	} {
		if err := c.check(c.good); err != nil {
			t.Errorf("%s: what is good is found to be bad: %v", name, err)
		}
		if err := c.check(c.bad); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: what is bad: %v, want %q", name, err, c.says)
		}
	}
}

var traces = []Event{{"secrets", "get", "Metadata"}, {"pods/exec", "get", "Metadata"}, {"pods", "create", "Request"}}

func suitesOf(e Evidence) []string { return strings.Split(e.Args[api]["s"], ",") }

// Each trial is another pod than the modest one.
func TestTrialsAsk(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for i, text := range strings.Split(pods(), "---\n")[1:] {
		name := trials[i].name
		text = strings.Replace(text, "cis-"+name, "", 1)
		if other, ok := seen[text]; ok {
			t.Errorf("%s asks for what %s does", name, other)
		}
		seen[text] = name
	}
	if len(seen) != len(trials) {
		t.Errorf("%d trials, want %d", len(seen), len(trials))
	}
}

func TestAdmitted(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	for _, trial := range trials {
		said.WriteString("pod/cis-" + trial.name + " created (server dry run)\n")
	}
	text := strings.Replace(said.String(), "pod/cis-root created (server dry run)",
		`Error from server (Forbidden): error when creating "STDIN": pods "cis-root" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`, 1)
	list, err := admitted(text)
	if err != nil || list["root"] || !list["modest"] {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := admitted("Unable to connect to the server"); err == nil {
		t.Error("what was not tried is found to be admitted or not")
	}
}
