#!/bin/sh
# Runs before the package's files are removed; nothing is to be done when another
# version takes their place, which .deb calls upgrade and .rpm 1.
set -e

case ${1:-} in
remove | 0) ;;
*) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
	systemctl --quiet stop kelp.service kelp-agent.service || true
	if [ "$1" = 0 ]; then systemctl --quiet disable kelp.service kelp-agent.service || true; fi
fi
# Nobody would look after the pods.
/usr/bin/kelp-killall.sh || true
for name in kubectl ctr crictl; do
	if [ "$(readlink /usr/bin/$name || true)" = kelp ]; then rm -f /usr/bin/$name; fi
done
