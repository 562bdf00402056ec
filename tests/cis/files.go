package cis

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// File is one file, directory or socket of a host.
type File struct {
	Path  string
	Mode  fs.FileMode // the permissions alone
	Owner string      // user:group
}

// matching are the files whose path a pattern describes as a whole. None is an error.
func (e Evidence) matching(pattern string) ([]File, error) {
	whole := regexp.MustCompile("^(?:" + pattern + ")$")
	var found []File
	for _, f := range e.Files {
		if whole.MatchString(f.Path) {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no file %s", pattern)
	}
	return found, nil
}

// modes wants files to have no permission beyond most.
func modes(pattern string, most fs.FileMode) Check {
	return func(e Evidence) error {
		files, err := e.matching(pattern)
		for _, f := range files {
			if f.Mode&^most != 0 {
				return fmt.Errorf("%s has the mode %o, want %o or less", f.Path, f.Mode, most)
			}
		}
		return err
	}
}

// roots wants files to be root's.
func roots(pattern string) Check {
	return func(e Evidence) error {
		files, err := e.matching(pattern)
		for _, f := range files {
			if f.Owner != "root:root" {
				return fmt.Errorf("%s is %s's", f.Path, f.Owner)
			}
		}
		return err
	}
}

// The files that the benchmark is about.
const (
	cniFiles   = `/var/lib/kelp/agent/cni/net\.d/.*|/run/kelp/cni/kelp/[0-9a-f.:]+`
	datastore  = `/var/lib/kelp/server/db/(sqlite|etcd)`
	admin      = `/etc/kelp/kubeconfig\.yaml`
	schedulers = `/var/lib/kelp/server/kubeconfigs/scheduler\.kubeconfig`
	managers   = `/var/lib/kelp/server/kubeconfigs/controller-manager\.kubeconfig`
	pkiFiles   = `/var/lib/kelp/(server|agent)/tls(/.*)?`
	units      = `/(etc|usr/lib)/systemd/system/kelp(-agent)?\.service`
	proxys     = `/var/lib/kelp/agent/kubeconfigs/proxy\.kubeconfig`
	kubelets   = `/var/lib/kelp/agent/kubeconfigs/kubelet\.kubeconfig`
	clientCAs  = `/var/lib/kelp/(server|agent)/tls/client-ca\.crt`
	configs    = `/var/lib/kelp/agent/kubelet\.yaml`
)

// certificates are the files of pkiFiles with an ending.
func certificates(ending string) string {
	return strings.TrimSuffix(pkiFiles, "(/.*)?") + `/.*\.` + ending
}

const oneProcess = "it is a part of kelp's process, with no pod specification"

func controlPlaneFiles() []Control {
	return []Control{
		{"1.1.1", "The API server's pod specification is 0600", Absent, oneProcess, nil},
		{"1.1.2", "It is root's", Absent, oneProcess, nil},
		{"1.1.3", "The controller manager's pod specification is 0600", Absent, oneProcess, nil},
		{"1.1.4", "It is root's", Absent, oneProcess, nil},
		{"1.1.5", "The scheduler's pod specification is 0600", Absent, oneProcess, nil},
		{"1.1.6", "It is root's", Absent, oneProcess, nil},
		{"1.1.7", "etcd's pod specification is 0600", Absent, oneProcess, nil},
		{"1.1.8", "It is root's", Absent, oneProcess, nil},
		{"1.1.9", "CNI's files are 0600", Passes, "`agent/cni/net.d`, `/run/kelp/cni`", modes(cniFiles, 0o600)},
		{"1.1.10", "They are root's", Passes, "", roots(cniFiles)},
		{"1.1.11", "The datastore's directory is 0700", Passes, "`server/db/sqlite`, `server/db/etcd`", modes(datastore, 0o700)},
		{"1.1.12", "etcd's directory is the user etcd's", Absent, "etcd is a part of kelp's process, and its directory root's", nil},
		{"1.1.13", "The administrator's kubeconfig is 0600", Passes, "`kubeconfig.mode` can loosen it", modes(admin, 0o600)},
		{"1.1.14", "It is root's", Passes, "", roots(admin)},
		{"1.1.15", "The scheduler's kubeconfig is 0600", Passes, "", modes(schedulers, 0o600)},
		{"1.1.16", "It is root's", Passes, "", roots(schedulers)},
		{"1.1.17", "The controller manager's kubeconfig is 0600", Passes, "", modes(managers, 0o600)},
		{"1.1.18", "It is root's", Passes, "", roots(managers)},
		{"1.1.19", "Directories and files of certificates are root's", Passes, "`server/tls`, `agent/tls`", roots(pkiFiles)},
		{"1.1.20", "Certificates are 0644 or less", Passes, "", modes(certificates("crt"), 0o644)},
		{"1.1.21", "Keys are 0600", Passes, "", modes(certificates("key"), 0o600)},
	}
}

func nodeFiles() []Control {
	return []Control{
		{"4.1.1", "The kubelet's service file is 0600", Setting, "`chmod`; there is no secret in it, and systemd shows it to everybody", modes(units, 0o600)},
		{"4.1.2", "It is root's", Passes, "", roots(units)},
		{"4.1.3", "kube-proxy's kubeconfig is 0600", Passes, "", modes(proxys, 0o600)},
		{"4.1.4", "It is root's", Passes, "", roots(proxys)},
		{"4.1.5", "The kubelet's kubeconfig is 0600", Passes, "", modes(kubelets, 0o600)},
		{"4.1.6", "It is root's", Passes, "", roots(kubelets)},
		{"4.1.7", "The client authority's certificate is 0644 or less", Passes, "", modes(clientCAs, 0o644)},
		{"4.1.8", "It is root's", Passes, "", roots(clientCAs)},
		{"4.1.9", "The kubelet's configuration is 0600", Passes, "`agent/kubelet.yaml`", modes(configs, 0o600)},
		{"4.1.10", "It is root's", Passes, "", roots(configs)},
	}
}
