package config

import (
	"slices"
	"strings"

	"github.com/kelp-project/kelp/pkg/internal/nearest"
)

// advice is for names that users of similar tools have in their files and
// fingers, and that no setting here is near to.
var advice = map[string]string{
	"cluster-init":             "kelp has --datastore=etcd for that",
	"disable-cloud-controller": "kelp runs no cloud controller; leave it out",
	"disable-helm-controller":  "kelp has no Helm controller; leave it out",
	"disable-kube-proxy":       "kelp always runs kube-proxy; leave it out",
	"disable-network-policy":   "kelp has --disable=network-policy for that",
	"disable-servicelb":        "kelp has --disable=servicelb for that",
	"docker":                   "kelp runs its own containerd; leave it out",
	"flannel-conf":             "kelp has --network and --cluster-cidr for that",
	"kube-controller-arg":      "it is called --kube-controller-manager-arg",
	"secrets-encryption":       "kelp has no setting for it yet; give --kube-apiserver-arg=encryption-provider-config=FILE",
	"rootless":                 "kelp runs as root; leave it out",
	"v":                        "kelp has --log-level for that",
}

// Advice says what to do in place of a setting that kelp does not have and
// that similar tools do; "" when there is nothing to say.
func Advice(name string) string { return advice[name] }

// suggestKey ends the error about an unknown key: the nearest known key, or
// the section in which the key would be right.
func suggestKey(prefix, name string) string {
	if a := Advice(name); a != "" {
		return "; " + a
	}
	var here, flags, leaves []string
	for _, s := range sections {
		if prefix == "" {
			here = append(here, s.Path)
		}
	}
	for _, f := range fields {
		leaf := f.Path[strings.LastIndex(f.Path, ".")+1:]
		flags, leaves = append(flags, f.Flag), append(leaves, leaf)
		rest, inside := strings.CutPrefix(f.Path, prefix)
		if inside && !strings.Contains(rest, ".") {
			here = append(here, rest)
		}
		if rest == name || leaf == name || f.Flag == name {
			return "; did you mean " + f.Path + "?"
		}
	}
	if prefix == "" {
		here = append(here, flags...)
	}
	if n := nearest.Name(name, here); n != "" {
		return "; did you mean " + prefix + n + "?"
	}
	if n := nearest.Name(name, leaves); n != "" {
		return "; did you mean " + fields[slices.Index(leaves, n)].Path + "?"
	}
	return didYouMean(name, flags)
}

// didYouMean ends an error about an unknown name.
func didYouMean(name string, candidates []string) string {
	if n := nearest.Name(name, candidates); n != "" {
		return "; did you mean " + n + "?"
	}
	return ""
}
