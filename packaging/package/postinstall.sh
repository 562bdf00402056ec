#!/bin/sh
# Runs when the package's files are in place. A .deb's is told configure and the
# version that was there before, an .rpm's how many versions there are now.
set -e

case ${1:-} in
configure) before=${2:-} ;;
1) before='' ;;
[2-9]*) before=another ;;
*) exit 0 ;;
esac

for name in kubectl ctr crictl; do
	command -v $name >/dev/null || ln -s kelp /usr/bin/$name
done

# The service starts with the machine from the next boot on, unless an
# administrator has disabled it.
if command -v deb-systemd-helper >/dev/null; then
	deb-systemd-helper unmask kelp.service >/dev/null || true
	if deb-systemd-helper --quiet was-enabled kelp.service; then
		deb-systemd-helper enable kelp.service >/dev/null || true
	else
		deb-systemd-helper update-state kelp.service >/dev/null || true
	fi
elif [ -z "$before" ]; then
	systemctl --quiet preset kelp.service || true
fi

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ -n "$before" ]; then
	# Pods do not notice.
	systemctl try-restart kelp.service kelp-agent.service || true
else
	cat <<END
kelp is installed and not started:
  a server:  systemctl start kelp
  an agent:  systemctl disable kelp; systemctl enable --now kelp-agent
             with the server's address and a token in /etc/kelp/config.yaml
END
fi
