package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kelp-project/kelp/tests/hosts"
)

// upstream are the separate processes' programs, by their packages.
var upstream = map[string]string{
	"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
	"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
	"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
	"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
	"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
	"etcd":                    "go.etcd.io/etcd/server/v3",
	"network":                 "./tests/bench/network", // flannel, as kelp uses it
	"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
}

// What make build has made for kelp, and the separate processes use too, from
// the top of the checkout.
const (
	helpers      = ".build/programs/payload/runtime"
	pauseArchive = "pkg/images/embedded/pause.tar"
)

// buildUpstream builds the programs from this module's go.mod, as kelp is
// built: stripped, with the version of Kubernetes stamped in.
func buildUpstream(ctx context.Context) (string, error) {
	dir, err := filepath.Abs(".build/upstream")
	if err != nil {
		return "", fmt.Errorf("find the directory of programs: %w", err)
	}
	version, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	if err != nil {
		return "", fmt.Errorf("find the version of Kubernetes: %w", err)
	}
	for name, pkg := range upstream {
		flags := "-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=" + strings.TrimSpace(string(version))
		build := exec.CommandContext(ctx, "go", "build", flags, "-o", filepath.Join(dir, name), pkg)
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w: %s", name, err, out)
		}
	}
	return dir, nil
}

// separate is Kubernetes as upstream documents it: a process per component.
type separate struct{}

func (separate) kubeconfig() string { return "/etc/upstream/admin.kubeconfig" }
func (separate) packaged() int      { return 0 }
func (separate) units() []string {
	return []string{
		"upstream-etcd", "upstream-containerd", "upstream-kube-apiserver", "upstream-kube-controller-manager",
		"upstream-kube-scheduler", "upstream-kubelet", "upstream-kube-proxy", "upstream-network", "upstream.target",
	}
}

func (s separate) install(ctx context.Context, b *bench, h *hosts.Host) error {
	programs, err := buildUpstream(ctx)
	if err != nil {
		return err
	}
	for from, to := range map[string]string{
		programs: "/var/lib/kelp/upstream", helpers: "/var/lib/kelp/bin",
		pauseArchive: "/var/lib/kelp/pause.tar", b.archive: "/var/lib/kelp/web.tar",
	} {
		if err := h.CopyIn(ctx, from, to); err != nil {
			return err
		}
	}
	files, err := secrets(h)
	if err != nil {
		return err
	}
	for name, text := range settings(h) {
		files["/etc/upstream/"+name] = text
	}
	for name, text := range upstreamUnits(h) {
		files["/etc/systemd/system/"+name] = text
	}
	for path, text := range files {
		if err := h.WriteFile(ctx, path, text); err != nil {
			return err
		}
	}
	// The images are there before the start, as kelp's are in its binary.
	_, err = h.Shell(ctx, `systemctl daemon-reload
systemctl start upstream-containerd
for archive in pause web; do kelp ctr -a /run/upstream/containerd.sock -n k8s.io images import /var/lib/kelp/$archive.tar >/dev/null; done
systemctl stop upstream-containerd`)
	return err
}

// secrets are the certificates, keys and kubeconfigs, by path.
func secrets(h *hosts.Host) (map[string]string, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	files := map[string]string{"/etc/upstream/ca.crt": string(ca.pem)}
	for _, c := range []struct{ file, name, group string }{
		{"server", "server", ""}, {"sa", "service-accounts", ""},
		{"admin", "admin", "system:masters"}, {"apiserver-kubelet", "apiserver-kubelet", "system:masters"}, {"aggregator", "aggregator", ""},
		{"controller-manager", "system:kube-controller-manager", ""}, {"scheduler", "system:kube-scheduler", ""},
		{"proxy", "system:kube-proxy", ""}, {"kubelet", "system:node:" + h.Name, "system:nodes"},
	} {
		p, err := ca.issue(c.name, c.group, "127.0.0.1", "10.43.0.1", h.Address, "localhost", "kubernetes.default.svc", h.Name)
		if err != nil {
			return nil, err
		}
		files["/etc/upstream/"+c.file+".crt"] = string(p.cert)
		files["/etc/upstream/"+c.file+".key"] = string(p.key)
		files["/etc/upstream/"+c.file+".kubeconfig"] = ca.kubeconfig(p)
	}
	return files, nil
}
