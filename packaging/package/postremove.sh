#!/bin/sh
# Runs when the package's files are gone. Settings and data stay; apt-get purge
# takes them, too, where they are in the places that kelp has by default.
set -e

if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
[ "${1:-}" = purge ] || exit 0

if command -v deb-systemd-helper >/dev/null; then
	deb-systemd-helper purge kelp.service >/dev/null || true
	deb-systemd-helper unmask kelp.service >/dev/null || true
fi
for dir in /etc/kelp /var/lib/kelp /var/lib/kubelet /var/log/pods /var/log/containers /var/lib/cni; do
	[ -d $dir ] || continue
	find $dir -xdev -mindepth 1 -delete || true
	rmdir $dir 2>/dev/null || true
done
[ ! -d /usr/libexec/kubernetes ] || find /usr/libexec/kubernetes -xdev -depth -type d -empty -delete
