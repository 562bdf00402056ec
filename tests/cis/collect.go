package cis

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
)

// Evidence is what was seen of a host.
type Evidence struct {
	// Server tells a server from an agent, of which only the node's part is seen.
	Server bool
	// Args are the arguments of the control plane's components, by component and name.
	Args  map[string]map[string]string
	Files []File
	// Kubelet is the configuration that the kubelet says it has.
	Kubelet kubeletv1beta1.KubeletConfiguration
	// Listening are the addresses of all TCP ports.
	Listening []string
	// Answers are the HTTP statuses for a stranger, 000 without an answer.
	Answers map[string]string
	// Provider is the first one that encrypts Secrets.
	Provider string
	// Components are the states of kelp's, by name.
	Components map[string]string
	// Admins are the subjects of cluster-admin, with the binding; Roles are the
	// cluster's and namespaces' roles that are not upstream's.
	Admins []string
	Roles  []Role
	// Rights are what packaged service accounts may do in all namespaces.
	Rights map[string]map[string]bool
	// Admitted are the trials of pods that are let in, by name.
	Admitted map[string]bool
	Audit    []Event
}

// Role is a role with the resources and verbs of its rules.
type Role struct {
	Name  string
	Words []string
}

// Event is a line of the audit log.
type Event struct{ Resource, Verb, Level string }

// String is the event in words: pods/exec get Metadata.
func (e Event) String() string { return e.Resource + " " + e.Verb + " " + e.Level }

// Machine is a booted host.
type Machine interface {
	// Shell runs a script and returns its standard output.
	Shell(ctx context.Context, script string) (string, error)
}

// look is a part of the evidence: what a script says, and what reads it.
type look struct {
	script string
	read   func(*Evidence, string) error
}

// Collect looks at a host whose node has the name. The kubelet is asked through the
// API, on the machine server.
func Collect(ctx context.Context, m, server Machine, name string) (Evidence, error) {
	e := Evidence{Server: m == server, Args: map[string]map[string]string{}, Answers: map[string]string{}, Rights: map[string]map[string]bool{}}
	text, err := server.Shell(ctx, "kelp kubectl get --raw /api/v1/nodes/"+name+"/proxy/configz")
	if err != nil {
		return e, err
	}
	var configz struct {
		Kubelet kubeletv1beta1.KubeletConfiguration `json:"kubeletconfig"`
	}
	if err := json.Unmarshal([]byte(text), &configz); err != nil {
		return e, fmt.Errorf("read the kubelet's configuration: %w", err)
	}
	e.Kubelet = configz.Kubelet
	e.Kubelet.Kind = "KubeletConfiguration" // it has been read
	looks := nodeLooks()
	if e.Server {
		looks = append(looks, serverLooks()...)
	}
	for _, l := range looks {
		text, err := m.Shell(ctx, l.script)
		if err == nil {
			err = l.read(&e, text)
		}
		if err != nil {
			return e, fmt.Errorf("look at %s: %w", name, err)
		}
	}
	return e, nil
}

// find lists what the checks of files are about, where it is there.
const find = `find /etc/kelp /var/lib/kelp/server /var/lib/kelp/agent/tls /var/lib/kelp/agent/kubeconfigs /var/lib/kelp/agent/cni /var/lib/kelp/agent/kubelet.yaml \
	/run/kelp /etc/systemd/system /usr/lib/systemd/system -maxdepth 4 -not -path '/run/kelp/containerd/*' -printf '%m %u:%g %p\n' 2>/dev/null || true`

func nodeLooks() []look {
	return []look{
		{find, readFiles},
		{"ss -ltnH", func(e *Evidence, text string) error {
			for line := range strings.Lines(text) {
				if fields := strings.Fields(line); len(fields) > 3 {
					e.Listening = append(e.Listening, fields[3])
				}
			}
			return nil
		}},
		{ask(":6443/livez", ":6443/api", ":6443/metrics", ":10250/pods", ":10255/pods", ":2379/health"), func(e *Evidence, text string) error {
			for line := range strings.Lines(text) {
				at, code, _ := strings.Cut(strings.TrimSpace(line), " ")
				e.Answers[at] = code
			}
			return nil
		}},
	}
}

// ask asks as a stranger, who shows no certificate.
func ask(paths ...string) string {
	return `for at in ` + strings.Join(paths, " ") + `; do
	echo "$at $(curl -sk --max-time 5 -o /dev/null -w '%{http_code}' https://127.0.0.1$at || true)"
done`
}

func readFiles(e *Evidence, text string) error {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimRight(line, "\n"), " ", 3)
		mode, err := strconv.ParseUint(fields[0], 8, 32)
		if err != nil || len(fields) != 3 {
			return fmt.Errorf("read the file %q", line)
		}
		e.Files = append(e.Files, File{Path: fields[2], Mode: fs.FileMode(mode), Owner: fields[1]})
	}
	return nil
}

// readRoles takes cluster roles and roles; upstream's have a label.
func readRoles(e *Evidence, text string) error {
	var list struct{ Items []rbacv1.ClusterRole }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	for _, r := range list.Items {
		if r.Labels["kubernetes.io/bootstrapping"] != "" {
			continue
		}
		role := Role{Name: r.Name}
		for _, rule := range r.Rules {
			role.Words = append(append(role.Words, rule.Resources...), rule.Verbs...)
		}
		e.Roles = append(e.Roles, role)
	}
	return nil
}
