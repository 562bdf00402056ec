//go:build e2e

package tests

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kelp-project/kelp/tests/hosts"
)

// whatIsInstalled lists the files that kelp may leave on a host, with the sums of
// settings, beside what it leaves in the running system.
const whatIsInstalled = whatIsThere + `
find /etc -xdev -type f -exec sha256sum {} + | sort -k2
find /etc /opt /usr/bin /usr/sbin /usr/local/bin /usr/libexec /usr/lib/systemd /var/lib /var/log /var/lib/kelp /var/lib/kubelet -xdev \
	\( -path /var/log/journal -o -path /var/lib/systemd -o -path /var/lib/dpkg -o -path /var/lib/private \) -prune -o -printf '%p %l\n' | sort -u
systemctl list-unit-files --no-legend 'kelp*' 'kube*' || true
find /run /tmp -xdev -maxdepth 1 ! -name 'systemd-private-*' | sort
find /run/containerd 2>/dev/null | sort
`

// bareHost boots a host on which there is no kelp.
func bareHost(t *testing.T, name string) *server {
	t.Helper()
	h, err := lab.lab.Boot(t.Context(), specNamed(name))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{h}
	s.stopAfter(t)
	// The lab makes directories in place of the machine's own.
	s.run(t, "rmdir /etc/kelp /etc/cni /opt/cni /var/lib/cni /var/log/pods /var/log/containers")
	return s
}

// refusesInstall runs a script that has to fail, saying want, and to leave no file where
// install.sh makes some.
func (s *server) refusesInstall(t *testing.T, script, want string) {
	t.Helper()
	const files = "ls -A /usr/local/bin /etc/systemd/system /etc/kelp 2>&1 || true"
	before := s.run(t, files)
	r, err := s.Exec(t.Context(), "", "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	if r.Code == 0 || !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, "nothing was changed") {
		t.Errorf("%s: status %d, want %q in\n%s%s", script, r.Code, want, r.Stdout, r.Stderr)
	}
	if now := s.run(t, files); now != before {
		t.Errorf("%s leaves\n%s", script, cmp.Diff(before, now))
	}
}

// isAs has the host be as before.
func (s *server) isAs(t *testing.T, before, after string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(s.run(t, whatIsInstalled), "\n")); diff != "" {
		t.Errorf("before (-) and after (+) %s:\n%s", after, diff)
	}
}

// process is the main process of kelp.
func (s *server) process(t *testing.T, unit string) string {
	t.Helper()
	return s.run(t, "systemctl show --property=MainPID --value "+unit)
}

// One command makes a server of a machine that has nothing, and what it prints
// makes an agent of another one. A second run changes nothing, and other settings
// do. What goes wrong leaves the machine as it was, and so does removing it.
func TestInstall(t *testing.T) {
	t.Parallel()
	web := openShop(t)
	first, second := bareHost(t, "install-1"), bareHost(t, "install-2")
	get := "curl -sfL " + web.url + "/install.sh | "
	for _, s := range []*server{first, second} {
		// Empty where a kubelet ran on the machine that the hosts are made of, and
		// removed with kelp.
		s.run(t, "find /usr/libexec/kubernetes -type d -empty -delete 2>/dev/null || true")
	}
	before, beforeSecond := first.run(t, whatIsInstalled), second.run(t, whatIsInstalled)

	t.Run("refused", func(t *testing.T) { refusedInstalls(t, first, web, before) })

	started := time.Now()
	said := first.run(t, get+"sh - 2>&1")
	t.Logf("from curl to ready: %s\n%s\n%s", time.Since(started).Round(time.Millisecond), said,
		first.run(t, "journalctl --unit=kelp --no-pager --output=short-precise | grep -E 'Starting kelp|Started kelp|all components'"))
	if err := nodeReady(first.node(t)); err != nil {
		t.Errorf("install.sh has ended, but the %v", err)
	}
	if out := first.run(t, "systemctl is-enabled kelp; kelp kubectl get nodes -o name; ctr version >/dev/null; readlink /usr/local/bin/crictl"); out != "enabled\nnode/install-1\nkelp" {
		t.Errorf("kelp is not installed as it should be: %s", out)
	}
	t.Run("again", func(t *testing.T) { installAgain(t, first, web) })
	t.Run("other settings", func(t *testing.T) { otherSettings(t, first, web) })
	t.Run("an agent", func(t *testing.T) { installAgent(t, first, second, web, said) })
	t.Run("reboot", func(t *testing.T) { rebootInstalled(t, first) })
	t.Run("uninstall", func(t *testing.T) {
		second.run(t, "kelp-uninstall.sh")
		second.isAs(t, beforeSecond, "installing and removing an agent")
		first.run(t, "kelp-uninstall.sh")
		first.isAs(t, before, "installing and removing a server")
	})
	t.Run("package", func(t *testing.T) { installPackage(t, second, web, beforeSecond) })
	t.Run("rpm", func(t *testing.T) { installRPM(t, second, web, beforeSecond) })
}

// refusedInstalls are those that must leave no trace.
func refusedInstalls(t *testing.T, s *server, web *shop, before string) {
	get := "curl -sfL " + web.url + "/install.sh | "
	for want, script := range map[string]string{
		"is damaged":                  get + "INSTALL_KELP_URL=" + web.url + "/damaged busybox sh",
		"cannot fetch " + web.url:     get + "INSTALL_KELP_VERSION=v1.0.0 sh -",
		"holds no SHA-256 checksum":   get + "INSTALL_KELP_URL=" + web.url + "/portal sh -",
		"this machine is i686":        get + "setarch i686 sh -",
		"is not signed by the key":    "openssl ecparam -name prime256v1 -genkey | openssl ec -pubout >/run/other.pub; " + get + "INSTALL_KELP_PUBLIC_KEY=/run/other.pub sh -; status=$?; rm /run/other.pub; exit $status",
		"is not a range of addresses": get + "KELP_CLUSTER_CIDR=10.42 sh -",
		"did you mean --node-label":   get + "sh -s - server --node-lable=a=b",
		"an agent needs KELP_URL":     get + "busybox sh -s - agent",
		"there is no such file":       get + "INSTALL_KELP_BIN=/root/kelp sh -",
		"does not run on this":        "echo nothing >/run/kelp.bin; " + get + "INSTALL_KELP_BIN=/run/kelp.bin sh -; status=$?; rm /run/kelp.bin; exit $status",
		"cannot run here yet":         "systemd-run -q --unit=holder socat TCP-LISTEN:6443,fork EXEC:cat; until socat -u OPEN:/dev/null TCP:127.0.0.1:6443; do sleep 0.1; done; " + get + "sh -; status=$?; systemctl stop holder; exit $status",
		"Failure writing output":      onFullDisk(get + "busybox sh -"),
		"No space left on device":     onFullDisk(get + "INSTALL_KELP_BIN=/usr/bin/git sh -"),
	} {
		s.refusesInstall(t, script, want)
	}
	s.isAs(t, before, "installations that were refused")
}

// onFullDisk runs a script where there is no room for the program, and fails where
// a part of it is left.
func onFullDisk(script string) string {
	return "mount -t tmpfs -o size=1m full /usr/local/bin; " + script + "; status=$?; ls -A /usr/local/bin | grep . && echo left it there >&2; umount /usr/local/bin; exit $status"
}

func installAgain(t *testing.T, s *server, web *shop) {
	get := "curl -sfL " + web.url + "/install.sh | "
	pid, fetched, files := s.process(t, "kelp"), web.programs(), s.run(t, "find /etc /usr/local -xdev -type f -printf '%p %T@\n' | sort")
	s.run(t, "curl -sf "+web.url+"/key.pub >/run/key.pub")
	for _, shell := range []string{
		get + "sh", get + "INSTALL_KELP_CHANNEL=stable sh", get + "INSTALL_KELP_PUBLIC_KEY=/run/key.pub sh",
		// With nothing but busybox: its shell, its wget, its sha256sum.
		"mount --bind /dev/null /usr/bin/curl; mount --bind /dev/null /usr/bin/openssl; busybox wget -q -O- " + web.url + "/install.sh | busybox sh",
	} {
		out := s.run(t, shell+" 2>&1")
		if !strings.Contains(out, "nothing was changed") {
			t.Errorf("a second run as %s says\n%s", shell, out)
		}
	}
	if now := s.process(t, "kelp"); now != pid {
		t.Errorf("kelp was process %s and is %s", pid, now)
	}
	if now := s.run(t, "umount /usr/bin/curl /usr/bin/openssl; rm /run/key.pub; find /etc /usr/local -xdev -type f -printf '%p %T@\n' | sort"); now != files {
		t.Errorf("files have changed:\n%s", cmp.Diff(files, now))
	}
	if n := web.programs() - fetched; n != 0 {
		t.Errorf("the program was fetched %d times, though it is there", n)
	}
}

// otherSettings are shown, without secrets, and come into effect; a run without
// any keeps them.
func otherSettings(t *testing.T, s *server, web *shop) {
	get := "curl -sfL " + web.url + "/install.sh | "
	pid := s.process(t, "kelp")
	out := s.run(t, get+"KELP_S3_PROXY=http://me:canary-4711@192.0.2.1:3128 sh -s - server --kubelet-arg=max-pods=77 2>&1")
	for _, want := range []string{"00-install.yaml changes", "+    - max-pods=77", "(redacted)@192.0.2.1"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "canary-4711") {
		t.Errorf("a secret is shown:\n%s", out)
	}
	if now := s.process(t, "kelp"); now == pid {
		t.Error("kelp was not restarted")
	}
	if pods := s.kubectl(t, "get", "node", s.Name, "-o", "jsonpath={.status.capacity.pods}"); pods != "77" {
		t.Errorf("the node takes %s pods, want 77", pods)
	}
	if mode := s.run(t, "stat -c %a /etc/kelp/config.yaml.d/00-install.yaml"); mode != "600" {
		t.Errorf("the settings have the mode %s", mode)
	}
	if out := s.run(t, get+"sh - 2>&1"); !strings.Contains(out, "nothing was changed") {
		t.Errorf("a run without settings says\n%s", out)
	}
}

// asUser has what follows run as if by somebody who is not root but may use sudo.
const asUser = `
mkdir /run/user-bin
printf '#!/bin/sh\necho 1000\n' >/run/user-bin/id
printf '#!/bin/sh\nexec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"\n' >/run/user-bin/sudo
chmod +x /run/user-bin/*
PATH=/run/user-bin:$PATH
`

// installAgent runs the command that the server's installation has printed.
func installAgent(t *testing.T, s, agent *server, web *shop, said string) {
	_, command, _ := strings.Cut(said, "an agent joins:")
	command, _, found := strings.Cut(command, "\n")
	if !found {
		t.Fatalf("no command for an agent in\n%s", said)
	}
	r, err := agent.Exec(t.Context(), "", "sh", "-c", "curl -sfL "+web.url+"/install.sh | KELP_URL=https://"+s.Address+":6443 KELP_TOKEN=kelp1.nonsense sh -")
	if err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "kelp does not start") || !strings.Contains(r.Stderr, "error: ") || strings.Contains(r.Stderr, "no token is given") {
		t.Errorf("an agent with a wrong token: %+v, %v; want to hear why it does not start", r, err)
	}
	// As a user who is not root, through sudo, which keeps no variable; and with a
	// signature that is checked.
	agent.run(t, "curl -sf "+web.url+"/key.pub >/run/key.pub"+asUser+strings.Replace(strings.TrimSpace(command), "KELP_URL=", "INSTALL_KELP_PUBLIC_KEY=/run/key.pub KELP_URL=", 1)+"; rm -r /run/key.pub /run/user-bin")
	s.awaitNode(t, agent.Name, soon)
	_, token, _ := strings.Cut(command, "KELP_TOKEN=")
	token, _, _ = strings.Cut(token, " ")
	if out := agent.run(t, "grep -qF "+token+" /etc/kelp/token; grep -rlF -f /etc/kelp/token /etc; stat -c %a /etc/kelp/token; systemctl is-enabled kelp-agent"); out != "/etc/kelp/token\n600\nenabled" {
		t.Errorf("the token is in, its mode, the service: %s", out)
	}
	if out := agent.run(t, "grep -lF -f /etc/kelp/token /proc/[0-9]*/cmdline 2>/dev/null || true"); out != "" {
		t.Errorf("the token is on a command line: %s", out)
	}
	if out := agent.run(t, "curl -sfL "+web.url+"/install.sh | sh - 2>&1"); !strings.Contains(out, "nothing was changed") {
		t.Errorf("a second run on an agent says\n%s", out)
	}
	r, err = agent.Exec(t.Context(), "", "sh", "-c", "curl -sfL "+web.url+"/install.sh | sh -s - server")
	if err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "is installed here as kelp-agent") {
		t.Errorf("an agent is made a server: %+v, %v", r, err)
	}
}

// rebootInstalled has a pod come back with the machine.
func rebootInstalled(t *testing.T, s *server) {
	if err := s.CopyIn(t.Context(), lab.archive, imagesDir+"/web.tar"); err != nil {
		t.Fatal(err)
	}
	s.apply(t, fmt.Sprintf(pinned, s.Name, "default"))
	pod := s.awaitPodNamed(t, "default", "on-"+s.Name, podUp)
	if err := s.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	hosts.Eventually(t, podUp, "the pod is back", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "pod", pod.Name, "-o", "jsonpath={.metadata.uid} {.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}")
		if err == nil && out != string(pod.UID)+" 1 true" {
			return fmt.Errorf("it is %s", out)
		}
		return err
	})
}

// installPackage installs, starts and purges the .deb.
func installPackage(t *testing.T, s *server, web *shop, before string) {
	s.run(t, "curl -sf "+web.url+"/kelp-"+runtime.GOARCH+".deb >/run/kelp.deb; dpkg -i /run/kelp.deb; rm /run/kelp.deb")
	if out := s.run(t, "systemctl is-enabled kelp; systemctl is-active kelp || true; systemctl is-enabled kelp-agent || true"); out != "enabled\ninactive\ndisabled" {
		t.Errorf("after dpkg -i the services are %s", out)
	}
	s.run(t, "systemctl start kelp; kelp status --wait >/dev/null; kelp kubectl get nodes")
	r, err := s.Exec(t.Context(), "", "sh", "-c", "curl -sfL "+web.url+"/install.sh | sh -")
	if err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "installed here as a package") {
		t.Errorf("install.sh beside a package: %+v, %v", r, err)
	}
	s.run(t, "dpkg --remove kelp; test -d /var/lib/kelp/server; test -f /etc/kelp/config.yaml; dpkg --purge kelp")
	s.isAs(t, before, "installing and purging the package")
}

// inRPM are its files; c is a setting of the administrator's, n one that an upgrade does
// not replace.
const inRPM = `drwxr-xr-x root:root /etc/kelp
-rw------- root:root /etc/kelp/config.yaml cn
-rwxr-xr-x root:root /usr/bin/kelp
-rwxr-xr-x root:root /usr/bin/kelp-killall.sh
-rw-r--r-- root:root /usr/lib/systemd/system/kelp-agent.service
-rw-r--r-- root:root /usr/lib/systemd/system/kelp.service
drwxr-xr-x root:root /usr/share/doc/kelp
-rw-r--r-- root:root /usr/share/doc/kelp/copyright`

// installRPM looks into the .rpm, and installs, upgrades and removes it. Its scripts find
// none of Debian's tools.
func installRPM(t *testing.T, s *server, web *shop, before string) {
	s.run(t, "curl -sf "+web.url+"/kelp-"+runtime.GOARCH+".rpm >/run/kelp.rpm; mkdir /run/rpm; mount --bind /dev/null /usr/bin/deb-systemd-helper")
	if got := s.run(t, `rpm -qp --qf '[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES} %{FILEFLAGS:fflags}\n]' /run/kelp.rpm | sed 's/ $//'`); got != inRPM {
		t.Errorf("its files: %s", cmp.Diff(inRPM, got))
	}
	if needs := s.run(t, "rpm -qp --requires /run/kelp.rpm | grep -v ^rpmlib | sort | xargs"); needs != "iproute kmod nftables util-linux" {
		t.Errorf("it needs %s", needs)
	}
	const rpm = "rpm --dbpath=/run/rpm --force-debian --nodeps "
	const state = "systemctl is-enabled kelp || true; systemctl is-active kelp || true; systemctl is-enabled kelp-agent || true; readlink /usr/bin/ctr; kelp --version | head -n1 | cut -d' ' -f2"
	want := "enabled\ninactive\ndisabled\nkelp\n" + web.version
	if said := s.run(t, rpm+"-i /run/kelp.rpm"); !strings.Contains(said, "systemctl start kelp") {
		t.Errorf("it says %s", said)
	}
	if got := s.run(t, state); got != want {
		t.Errorf("after rpm -i: %q, want %q", got, want)
	}
	s.run(t, "systemctl disable --quiet kelp; "+rpm+"-U --force /run/kelp.rpm")
	if got := s.run(t, state); got != strings.Replace(want, "enabled", "disabled", 1) {
		t.Errorf("after an upgrade: %q", got)
	}
	s.run(t, rpm+"-e kelp; test ! -e /usr/share/doc/kelp; umount /usr/bin/deb-systemd-helper; rm -r /run/kelp.rpm /run/rpm")
	s.isAs(t, before, "installing and removing the .rpm")
}
