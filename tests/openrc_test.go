//go:build e2e

package tests

import (
	"context"
	"os/exec"
	"strings"
	"testing"
)

// asOpenRC runs what is on its standard input on a machine of OpenRC's: with processes
// of its own, and a /run in which there is nothing of systemd's. What kelp needs, and
// other distributions have, is not in Debian's OpenRC.
const asOpenRC = `
for deb in /var/lib/kubelet/openrc/*.deb; do dpkg-deb --fsys-tarfile $deb | tar -x --keep-directory-symlink -C /; done
rm -r /var/lib/kubelet/openrc
printf '#!/sbin/openrc-run\nstart() { :; }\n' >/etc/init.d/localmount
chmod +x /etc/init.d/localmount
# As the machine has them: OpenRC mounts what is missing.
test -e /sys/fs/cgroup/cgroup.controllers || echo rc_cgroup_mode=legacy >>/etc/rc.conf
cat >/root/openrc.sh
exec unshare --mount --pid --fork --mount-proc sh -euc '
	umount --recursive --lazy /run # what is mounted below it would be there, and not to be seen
	mount -t tmpfs tmpfs /run
	mount --make-rshared /
	for level in sysinit boot default; do openrc $level; done
	sh -eu /root/openrc.sh'
`

// withOpenRC is what is done there: kelp is installed, once more, comes back after its
// end, and is removed.
const withOpenRC = whatIsLeft + `
what_is_left >/root/before
curl -sfL $URL/install.sh | sh - 2>&1
rc-service kelp status
rc-update show default
kelp kubectl get nodes --no-headers
curl -sfL $URL/install.sh | sh - 2>&1
old=$(pgrep -f '^[^ ]*kelp server')
kill -9 $old
until new=$(pgrep -f '^[^ ]*kelp server') && [ $new != $old ]; do sleep 0.1; done
kelp status --wait --timeout=60s >/dev/null
rc-service kelp status
kelp-uninstall.sh 2>&1
what_is_left >/root/after
diff /root/before /root/after && echo as it was
`

const whatIsLeft = `
what_is_left() {` + whatIsThere + `find /etc /usr/local /var/lib /var/log -xdev \( -path /var/log/journal -o -path /var/lib/systemd \) -prune -o -printf '%p %l\n' | sort
}
`

// install.sh does where systemd is not what it does where it is.
func TestOpenRC(t *testing.T) {
	web, s := openShop(t), bareHost(t, "openrc")
	fetch := exec.CommandContext(t.Context(), "../scripts/openrc")
	fetch.Stderr = t.Output()
	debs, err := fetch.Output()
	if err != nil {
		t.Fatalf("fetch OpenRC: %v", err)
	}
	if err := s.CopyIn(t.Context(), strings.TrimSpace(string(debs)), "/var/lib/kubelet/openrc"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*ready)
	defer cancel()
	out, err := s.RunInput(ctx, "URL="+web.url+withOpenRC, "sh", "-euc", asOpenRC)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, s.run(t, "tail -n 150 /var/log/kelp.log || true"))
	}
	for _, want := range []string{"status: started", "kelp | default", s.Name + "   Ready", "nothing was changed", "status: started", "kelp is removed", "as it was"} {
		_, rest, found := strings.Cut(out, want)
		if !found {
			t.Errorf("it does not say %q after that: %s", want, out)
		}
		out = rest
	}
}
