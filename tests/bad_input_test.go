//go:build e2e

package tests

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// everything is what a refused start must not have changed.
const everything = `
find /etc/kelp /etc/cni /etc/systemd /etc/modules-load.d /etc/sysctl.d /usr/local/bin /opt/cni /var/lib/kelp /var/lib/kubelet /var/log/pods /var/lib/cni /srv /run/kelp \
	-printf '%p %y %m %U:%G %s %T@ %l\n' 2>/dev/null | sort
ip -o addr | sed 's, tentative,,'
ip route
ip rule
nft list ruleset
cut -d' ' -f2-4 /proc/self/mounts
find /sys/fs/cgroup -type d -name 'kube*'
`

// badInput is one mistake of a user's, or one host that cannot carry kelp.
type badInput struct {
	name   string
	before string   // a script that spoils the host
	config string   // the configuration file
	args   []string // further arguments of kelp server
	run    string   // runs kelp in place of "kelp server ARGS"
	after  string   // a script that repairs the host
	want   []string // what the one line says
}

var badInputs = []badInput{
	{name: "a mistyped key", config: "network:\n  clusterCIDR: [10.42.0.0/16]\n", want: []string{"config.yaml:2", "clusterCIDR", "clusterCIDRs"}},
	{name: "a key in the wrong section", config: "httpsPort: 6443\n", want: []string{"config.yaml:1", "httpsPort"}},
	{name: "a file that is not YAML", config: "network: [\n", want: []string{"config.yaml"}},
	{name: "a value of the wrong kind", config: "api: {httpsPort: many}\n", want: []string{"config.yaml:1", "many"}},
	{name: "a CIDR that is none", config: "network: {clusterCIDRs: [10.42.0.0/99]}\n", want: []string{"config.yaml:1", "10.42.0.0/99"}},
	{name: "overlapping CIDRs", config: "network:\n  clusterCIDRs: [10.43.0.0/17]\n", want: []string{"10.43.0.0/17", "overlap", "10.43.0.0/16"}},
	{name: "families that differ", config: "network:\n  clusterCIDRs: [\"fd42::/48\"]\n", want: []string{"serviceCIDRs"}},
	{name: "an unknown datastore", args: []string{"--datastore=mongo"}, want: []string{"mongo", "sqlite", "etcd"}},
	{name: "an unknown flag", args: []string{"--cluster-cdir=10.42.0.0/16"}, want: []string{"cluster-cdir"}},
	{name: "an unknown variable's value", run: "KELP_HTTPS_LISTEN_PORT=seven kelp server", want: []string{"KELP_HTTPS_LISTEN_PORT", "seven"}},
	{name: "an unknown component argument", args: []string{"--kube-apiserver-arg=enable-admision-plugins=X"}, want: []string{"enable-admision-plugins", "enable-admission-plugins"}},
	{name: "an argument that kelp owns", args: []string{"--kube-apiserver-arg=etcd-servers=http://x"}, want: []string{"etcd-servers", "kelp"}},
	{name: "a component argument that cannot be read", args: []string{"--kube-controller-manager-arg=node-monitor-period=soon"}, want: []string{"node-monitor-period", "soon"}},
	{
		name: "a kubelet drop-in with an unknown field", before: "mkdir -p /etc/kelp/kubelet.conf.d; printf 'apiVersion: kubelet.config.k8s.io/v1beta1\\nkind: KubeletConfiguration\\nmaxPod: 5\\n' >/etc/kelp/kubelet.conf.d/10.conf",
		after: "rm -r /etc/kelp/kubelet.conf.d", want: []string{"10.conf:3", "maxPod"},
	},
	{name: "a token file that is missing", args: []string{"--token-file=/srv/token"}, want: []string{"/srv/token"}},
	{name: "an agent's token", args: []string{"--token=kelp1." + strings.Repeat("0", 64) + ".agent.a.s"}, want: []string{"agent's token"}},
	{name: "an unknown component to disable", args: []string{"--disable=corends"}, want: []string{"corends", "coredns"}},
	{name: "not root", run: "setpriv --reuid=65534 --regid=65534 --clear-groups kelp server", want: []string{"root"}},
	{
		name: "a port that is taken", before: "systemd-run -q --unit=taker socat TCP-LISTEN:6443,fork /dev/null; until ss -ltnH | grep -q :6443; do :; done",
		after: "systemctl stop taker", want: []string{"6443", "socat"},
	},
	{
		name: "a read-only data directory", before: "mkdir -p /srv/ro; mount -t tmpfs -o ro none /srv/ro",
		args: []string{"--data-dir=/srv/ro"}, after: "umount /srv/ro", want: []string{"/srv/ro", "read-only"},
	},
	{
		name: "a full data directory", before: "mkdir -p /srv/full; mount -t tmpfs -o size=1m none /srv/full; dd if=/dev/zero of=/srv/full/fill bs=64k 2>/dev/null || true",
		args: []string{"--data-dir=/srv/full"}, after: "umount /srv/full", want: []string{"/srv/full", "space"},
	},
	{
		name: "a data directory that is a file", before: "echo x >/srv/file",
		args: []string{"--data-dir=/srv/file"}, after: "rm /srv/file", want: []string{"/srv/file", "director"},
	},
	{
		name: "a data directory of a newer version", before: `mkdir -p /srv/newer; echo '{"version":"v99.0.0"}' >/srv/newer/version.json`,
		args: []string{"--data-dir=/srv/newer"}, after: "rm -r /srv/newer", want: []string{"/srv/newer", "v99.0.0"},
	},
	{
		name: "a clock before the authority's beginning", before: futureCA,
		args: []string{"--data-dir=/srv/future"}, after: "rm -r /srv/future", want: []string{"clock", "2099"},
	},
	{
		name: "a kernel without overlayfs", before: "grep -v overlay /proc/filesystems >/srv/filesystems; mount --bind /srv/filesystems /proc/filesystems",
		after: "umount /proc/filesystems; rm /srv/filesystems", want: []string{"overlay"},
	},
}

// futureCA makes a server authority that begins in 2099.
const futureCA = `
tls=/srv/future/server/tls; mkdir -p -m 700 $tls; cd /srv/future
openssl ecparam -name prime256v1 -genkey -noout -out $tls/server-ca.key
openssl req -new -key $tls/server-ca.key -subj /CN=kelp-server-ca -out csr
touch index; echo 01 >serial
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,digitalSignature\n' >cnf
openssl ca -batch -config cnf -selfsign -keyfile $tls/server-ca.key -startdate 20990101000000Z -enddate 21090101000000Z -in csr -out $tls/server-ca.crt -notext 2>/dev/null
rm -f csr cnf index* serial* 01.pem; chmod 600 $tls/*
`

// Each mistake ends with exit status 1 and one line that says what is wrong,
// and nothing on the host has changed.
func TestBadInputIsRefusedBeforeAnythingChanges(t *testing.T) {
	s := ownServer(t, specNamed("bad"), "")
	for _, bad := range badInputs {
		t.Run(strings.ReplaceAll(bad.name, " ", "-"), func(t *testing.T) { s.refuse(t, bad) })
		// What one mistake has left, and was reported for, is not the next one's.
		s.run(t, "rm -rf /run/kelp; find /var/lib/kelp /var/lib/kubelet -mindepth 1 -delete")
	}
}

func (s *server) refuse(t *testing.T, bad badInput) {
	t.Helper()
	if bad.before != "" {
		s.run(t, bad.before)
	}
	if bad.after != "" {
		t.Cleanup(func() {
			if _, err := s.Shell(contextOf(t), bad.after); err != nil {
				t.Error(err)
			}
		})
	}
	s.write(t, "/etc/kelp/config.yaml", bad.config)
	if bad.run == "" {
		bad.run = strings.Join(append([]string{"kelp", "server"}, bad.args...), " ")
	}
	before := s.run(t, everything)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// As a unit's process, so that what it might start is found and ended.
	r, err := s.Exec(ctx, "", "systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--unit=kelp-bad", "sh", "-c", bad.run)
	if err != nil {
		_, stopErr := s.Run(contextOf(t), "systemctl", "stop", "kelp-bad")
		t.Fatalf("it was not refused: %v (%v); it said:\n%s%s", err, stopErr, r.Stdout, r.Stderr)
	}
	said := strings.TrimSpace(r.Stderr)
	if r.Code != 1 {
		t.Errorf("exit status %d, want 1", r.Code)
	}
	if lines := strings.Split(said, "\n"); len(lines) > 2 || !strings.HasPrefix(lines[0], "error: ") || strings.TrimSpace(r.Stdout) != "" {
		t.Errorf("want one line that begins with error: and perhaps a hint, got:\n%s%s", r.Stdout, said)
	}
	for _, want := range bad.want {
		if !containsFold(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if changed := changes(before, s.run(t, everything)); len(changed) > 0 {
		t.Errorf("the host was changed (-before +after), %d lines, among them:\n%s", len(changed), strings.Join(changed[:min(len(changed), 12)], "\n"))
	}
}

// changes lists the lines that two listings do not share.
func changes(before, after string) []string {
	var changed []string
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range old {
		if !slices.Contains(now, line) {
			changed = append(changed, "- "+line)
		}
	}
	for _, line := range now {
		if !slices.Contains(old, line) {
			changed = append(changed, "+ "+line)
		}
	}
	return changed
}

// A database that has lost its end is named, is left as it is, and comes back
// when its end does.
func TestTruncatedDatabaseIsRefused(t *testing.T) {
	s := ownServer(t, specNamed("torn"), "")
	s.start(t)
	s.kubectl(t, "create", "configmap", "kept")
	s.stopKelp(t)
	s.run(t, "cd /var/lib/kelp/server/db/sqlite; mkdir /root/db; cp -a . /root/db; truncate -s 40000 state.db; rm -f state.db-wal state.db-shm")
	s.refuse(t, badInput{want: []string{"state.db"}})
	s.run(t, "cd /var/lib/kelp/server/db/sqlite; rm -f *; cp -a /root/db/. .")
	s.start(t)
	s.kubectl(t, "get", "configmap", "kept")
}
