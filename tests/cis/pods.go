package cis

import (
	"fmt"
	"regexp"
	"strings"
)

// trials are pods that each want one thing that they should not have, and one that
// wants nothing. Each is what takes the place of one of a modest pod's lines.
var trials = []struct{ name, line, by string }{
	{"modest", "", ""},
	{"privileged", "      privileged: false", "      privileged: true"},
	{"host-pid", "  hostPID: false", "  hostPID: true"},
	{"host-ipc", "  hostIPC: false", "  hostIPC: true"},
	{"host-network", "  hostNetwork: false", "  hostNetwork: true"},
	{"escalation", "      allowPrivilegeEscalation: false", "      allowPrivilegeEscalation: true"},
	{"root", "      runAsNonRoot: true", "      runAsNonRoot: false"},
	{"net-raw", "        drop: [ALL]", "        drop: [ALL]\n        add: [NET_RAW]"},
	{"capabilities", "        drop: [ALL]", "        drop: []"},
	{"host-path", "    emptyDir: {}", "    hostPath: {path: /tmp}"},
	{"host-port", "    - containerPort: 8080", "    - containerPort: 8080\n      hostPort: 18080"},
}

const modest = `---
apiVersion: v1
kind: Pod
metadata: {name: cis-NAME}
spec:
  hostPID: false
  hostIPC: false
  hostNetwork: false
  volumes:
  - name: v
    emptyDir: {}
  containers:
  - name: c
    image: example.test/none:1
    ports:
    - containerPort: 8080
    securityContext:
      privileged: false
      allowPrivilegeEscalation: false
      runAsNonRoot: true
      seccompProfile: {type: RuntimeDefault}
      capabilities:
        drop: [ALL]
`

// pods are the manifests of all trials. A privileged container may not forbid itself
// to gain privileges.
func pods() string {
	var b strings.Builder
	for _, t := range trials {
		text := strings.Replace(modest, "NAME", t.name, 1)
		if t.line != "" {
			text = strings.Replace(text, t.line+"\n", t.by+"\n", 1)
		}
		if t.name == "privileged" {
			text = strings.Replace(text, "      allowPrivilegeEscalation: false\n", "", 1)
		}
		b.WriteString(text)
	}
	return b.String()
}

var (
	created   = regexp.MustCompile(`pod/cis-(\S+) created`)
	forbidden = regexp.MustCompile(`pods "cis-([^"]+)" is forbidden: violates PodSecurity`)
)

// admitted reads what kubectl says of the trials. One that is not mentioned is an error.
func admitted(said string) (map[string]bool, error) {
	list := map[string]bool{}
	for _, m := range created.FindAllStringSubmatch(said, -1) {
		list[m[1]] = true
	}
	for _, m := range forbidden.FindAllStringSubmatch(said, -1) {
		list[m[1]] = false
	}
	for _, t := range trials {
		if _, ok := list[t.name]; !ok {
			return nil, fmt.Errorf("kubectl does not say whether it creates the pod %q: %s", t.name, said)
		}
	}
	return list, nil
}
