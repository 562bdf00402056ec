//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// pagesHosts are the machines on which a reader follows the pages: one becomes a
// server and two its agent, and, when both are removed, two one without a network.
type pagesHosts struct {
	one, two *server
	web      *shop
	done     map[string]bool // the commands that have been run, of pages that repeat them
}

// What the documentation tells to type works as it stands there, from the first
// command to the last.
func TestPages(t *testing.T) {
	t.Parallel()
	p := &pagesHosts{web: openShop(t), one: bareHost(t, "pages-1"), two: bareHost(t, "pages-2"), done: map[string]bool{}}
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"quick start", p.quickStart},
		{"the README's tour", p.tour},
		{"the other pages", p.others},
		{"configuration", p.configuration},
		{"coming from k3s", p.fromK3s},
		{"settings of install.sh", p.settings},
		{"authorities", p.authorities},
		{"removed", p.removed},
		{"air gap", p.airGap},
	} {
		if !t.Run(part.name, part.run) {
			return // each goes on where the one before it ended
		}
	}
}

// at has the pages' address be the shop's.
func (p *pagesHosts) at(more ...string) examples {
	return append(examples{"https://kelp.example", p.web.url}, more...)
}

// awaitScript runs a block until it says what it should.
func (s *server) awaitScript(t *testing.T, page, name string, values examples, want string) {
	t.Helper()
	script := values.in(t, block(t, page, name))
	hosts.Eventually(t, podUp, page+": "+name, func(ctx context.Context) error {
		out, err := s.Shell(ctx, script)
		if err == nil && !strings.Contains(out, want) {
			return fmt.Errorf("it says %q", out)
		}
		return err
	})
}

func (p *pagesHosts) quickStart(t *testing.T) {
	one, two := p.one, p.two
	if out := one.script(t, "quick-start.md", "quick-server", p.at()); !strings.Contains(out, "kubelet") {
		t.Errorf("kelp status says %s", out)
	}
	one.script(t, "quick-start.md", "quick-app", nil)
	one.awaitScript(t, "quick-start.md", "quick-ask", examples{"10.0.0.1", one.Address}, "web-")
	one.script(t, "quick-start.md", "quick-file", nil)
	token := one.script(t, "quick-start.md", "quick-token", nil)
	two.script(t, "quick-start.md", "quick-agent", p.at("10.0.0.1", one.Address, "KELP_TOKEN=…", "KELP_TOKEN="+token))
	one.awaitNode(t, two.Name, soon)
	one.script(t, "quick-start.md", "quick-settings", nil)
	one.run(t, hosts.KelpPath+" kubectl delete deployment/web service/web")
}

// tour has files of a user's for the README's commands.
func (p *pagesHosts) tour(t *testing.T) {
	one := p.one
	one.write(t, "/root/my-app.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: my-app, namespace: default}\n")
	p.bringImage(t, one, "/root/my-images.tar.zst")
	one.awaitDeployments(t, "kube-system", 3, ready)
	if out := one.script(t, "../README.md", "tour", nil); !strings.Contains(out, "server-ca") {
		t.Errorf("the tour says %s", out)
	}
	hosts.Eventually(t, soon, "the file and the archive have been taken", func(ctx context.Context) error {
		_, err := one.Kubectl(ctx, "get", "configmap", "my-app")
		return errors.Join(err, one.hasImage(ctx))
	})
}

// bringImage has an archive with the application's image on a host.
func (p *pagesHosts) bringImage(t *testing.T, s *server, path string) {
	t.Helper()
	const between = "/var/lib/kubelet/archive.tar"
	if err := s.CopyIn(t.Context(), lab.archive, between); err != nil {
		t.Fatal(err)
	}
	s.run(t, "zstd -q --rm -o "+path+" "+between)
}

func (s *server) hasImage(ctx context.Context) error {
	out, err := s.Run(ctx, hosts.KelpPath, "ctr", "images", "ls", "-q")
	if err == nil && !strings.Contains(out, webImage) {
		return fmt.Errorf("the images are %s", out)
	}
	return err
}

// others are pages whose commands stand on a line each, and change little. They
// repeat each other: each command is run once.
func (p *pagesHosts) others(t *testing.T) {
	for _, b := range []struct{ page, name string }{
		{"manifests.md", "manifests"}, {"metrics.md", "metrics"}, {"metrics.md", "prometheus"}, {"backup.md", "look"}, {"encryption.md", "keys"},
		{"troubleshooting.md", "first"}, {"troubleshooting.md", "start"}, {"troubleshooting.md", "api"}, {"troubleshooting.md", "nodes"},
		{"troubleshooting.md", "pods"}, {"troubleshooting.md", "etcd"}, {"troubleshooting.md", "controllers"}, {"troubleshooting.md", "dns"},
		{"troubleshooting.md", "bundle"},
	} {
		for _, command := range lines(t, b.page, b.name) {
			if !p.done[command] {
				p.done[command] = true
				begun := time.Now()
				p.one.run(t, "cd /root; "+command)
				t.Logf("%6s %s", time.Since(begun).Round(10*time.Millisecond), command)
			}
		}
	}
}

// configuration changes a label with each file that is applied.
func (p *pagesHosts) configuration(t *testing.T) {
	for i, command := range lines(t, "configuration.md", "configuration") {
		p.one.write(t, "/root/new.yaml", fmt.Sprintf("node: {labels: [disk=ssd, step=s%d]}\n", i))
		r, err := p.one.Exec(t.Context(), "", "sh", "-c", "cd /root; export EDITOR=true; "+command)
		differs := strings.HasSuffix(command, "diff new.yaml") // which the status says
		if err != nil || differs && r.Code != 3 || !differs && r.Code != 0 {
			t.Errorf("%s: status %d, %v: %s%s", command, r.Code, err, r.Stdout, r.Stderr)
		}
	}
}

// fromK3s has files of k3s' on the machine.
func (p *pagesHosts) fromK3s(t *testing.T) {
	one := p.one
	one.write(t, "/etc/rancher/k3s/config.yaml", block(t, "coming-from-k3s.md", "k3s-config"))
	one.write(t, "/etc/rancher/k3s/registries.yaml", "mirrors:\n  docker.io:\n    endpoint: [https://registry.example:5000]\n")
	one.write(t, "/var/lib/rancher/k3s/server/manifests/shop.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop, namespace: default}\n")
	one.script(t, "coming-from-k3s.md", "k3s-files", nil)
	one.run(t, "rm -r /etc/rancher /var/lib/rancher")

	help := one.run(t, hosts.KelpPath+" server --help")
	for _, flag := range kelpFlags(t) {
		if !strings.Contains(help, flag+" ") && !strings.Contains(help, flag+",") && !strings.Contains(help, flag+"\n") {
			t.Errorf("coming-from-k3s.md speaks of %s, and kelp server has no such flag", flag)
		}
	}
}

// kelpFlags are those that the page has in the second column of its table.
func kelpFlags(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/coming-from-k3s.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Flags")
	table, _, _ = strings.Cut(table, "\n## ")
	var flags []string
	for line := range strings.Lines(table) {
		columns := strings.Split(line, "|")
		if len(columns) < 4 {
			continue
		}
		for i, part := range strings.Split(columns[2], "`") {
			if i%2 == 1 && strings.HasPrefix(part, "--") && !slices.Contains(flags, part) {
				flags = append(flags, part)
			}
		}
	}
	if len(flags) < 20 {
		t.Fatalf("found the flags %v in the table", flags)
	}
	return flags
}

// settings are taken by a second run of install.sh.
func (p *pagesHosts) settings(t *testing.T) {
	p.one.script(t, "install.md", "settings", p.at())
	hosts.Eventually(t, soon, "metrics-server is gone", func(ctx context.Context) error {
		out, err := p.one.Kubectl(ctx, "-n", "kube-system", "get", "deployment", "metrics-server", "--ignore-not-found")
		if err == nil && out != "" {
			return errors.New(out)
		}
		return err
	})
}

// authorities has one of a user's own for the second succession.
func (p *pagesHosts) authorities(t *testing.T) {
	p.one.run(t, `mkdir /root/pki; cd /root/pki
openssl req -x509 -newkey rsa:2048 -nodes -days 900 -keyout client-ca.key -out client-ca.crt -subj "/CN=a reader" -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null`)
	p.one.follow(t, "certificates.md", "authorities", nil)
}

func (p *pagesHosts) removed(t *testing.T) {
	p.one.script(t, "quick-start.md", "quick-uninstall", nil)
	p.two.run(t, "kelp-uninstall.sh")
	for _, s := range []*server{p.one, p.two} {
		s.run(t, "test ! -e "+hosts.KelpPath+"; test ! -e /var/lib/kelp/server")
	}
}

// airGap fetches nothing but what the page names, and nothing after that.
func (p *pagesHosts) airGap(t *testing.T) {
	two, program := p.two, "kelp-"+runtime.GOARCH
	two.script(t, "airgap.md", "airgap-fetch", p.at("kelp-amd64", program))
	fetched := p.web.requests()
	two.run(t, "ip route del default; cd /root/kelp\n"+examples{"kelp-amd64", program}.in(t, block(t, "airgap.md", "airgap-install")))
	p.bringImage(t, two, "/root/shop.tar.zst")
	two.script(t, "airgap.md", "airgap-image", nil)
	hosts.Eventually(t, soon, "the archive has been imported", two.hasImage)
	two.awaitDeployments(t, "kube-system", 3, ready)
	if more := p.web.requests() - fetched; more > 0 {
		t.Errorf("%d files were fetched without a network", more)
	}
}
