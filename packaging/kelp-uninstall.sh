#!/bin/sh
# Removes kelp from this machine: its pods and their volumes, the datastore, its
# settings, its service and its program. What is not kelp's is left alone, and so
# are snapshots that were written to a directory outside its data directory.
#
#	KELP_UNINSTALL_FORCE=true  also a server without which etcd has no majority
set -eu

say() { echo "kelp-uninstall: $*" >&2; }

[ "$(id -u)" = 0 ] || { say "must run as root: use sudo"; exit 1; }
bin=/usr/local/bin
kelp=$bin/kelp
if [ -e /usr/bin/kelp ]; then
	say "kelp is installed here as a package: remove it with apt-get purge kelp, or dnf remove kelp"
	exit 1
fi

# setting NAME is a setting as kelp sees it; nothing where kelp is gone.
setting() { "$kelp" config 2>/dev/null | awk -v name="$1" '$1 == name { print $2 }'; }

# leave takes a server out of its cluster's etcd, so that the others do not wait
# for its vote.
leave() {
	[ -d "$data/server/db/etcd" ] || return 0
	reason=$("$kelp" server leave 2>&1) && return
	case $reason in
	*"only server of its cluster"* | *"is no member of etcd"*) return ;;
	esac
	if [ "${KELP_UNINSTALL_FORCE:-}" != true ] && [ -S /run/kelp/kelp.sock ]; then
		say "this server does not leave its cluster: $reason"
		say "KELP_UNINSTALL_FORCE=true removes it all the same"
		exit 1
	fi
	say "this server did not leave its cluster in order: on another one, kelp kubectl delete node $node"
}

remove_services() {
	for name in kelp kelp-agent; do
		if [ -e /etc/systemd/system/$name.service ]; then
			systemctl disable --quiet $name.service 2>/dev/null || true
			rm -f /etc/systemd/system/$name.service
		fi
		if [ -e /etc/init.d/$name ]; then
			rc-update --quiet delete $name default || true
			rm -f /etc/init.d/$name /var/log/$name.log
		fi
	done
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		systemctl reset-failed kelp.service kelp-agent.service 2>/dev/null || true
	fi
}

# wipe DIRECTORY removes it with all that is in it, but goes into no other file
# system. A directory that is a mount point itself stays, empty.
wipe() {
	[ -d "$1" ] || return 0
	find "$1" -xdev -mindepth 1 -delete || say "cannot remove all of $1"
	rmdir "$1" 2>/dev/null || true
}

# wipe_data takes what kelp makes in its data directory, and the directory if
# that was all.
wipe_data() {
	for part in server agent images bin storage upgrade; do wipe "$data/$part"; done
	rm -f "$data/version.json"
	if ! rmdir "$data" 2>/dev/null && [ -n "$(ls -A "$data" 2>/dev/null)" ]; then
		say "$data is kept, for it holds more than what is kelp's: $(ls -A "$data")"
	fi
}

# wipe_node takes what the kubelet and the CNI plugins make outside it.
wipe_node() {
	for dir in /var/lib/kubelet /var/log/pods /var/lib/cni; do wipe "$dir"; done
	if [ -d /var/log/containers ]; then
		find /var/log/containers -xdev -type l ! -exec test -e {} \; -delete
		rmdir /var/log/containers 2>/dev/null || true
	fi
	# The kubelet has told logind how long a shutdown may take, where it is a graceful one.
	rm -f /etc/systemd/logind.conf.d/99-kubelet.conf
	# Other software may have plugins of the kubelet there.
	[ ! -d /usr/libexec/kubernetes ] || find /usr/libexec/kubernetes -xdev -depth -type d -empty -delete
}

remove_program() {
	for name in kubectl ctr crictl; do
		if [ "$(readlink $bin/$name || true)" = kelp ]; then rm -f $bin/$name; fi
	done
	rm -f "$kelp" "$kelp.previous" "$kelp.next" $bin/kelp-killall.sh $bin/kelp-uninstall.sh
}

main() {
	data=$(setting dataDir)
	data=${data:-/var/lib/kelp}
	node=$(setting node.name)
	kubeconfig=$(setting kubeconfig.path)
	snapshots=$(setting snapshots.dir)
	leave
	agent=no
	[ ! -e /etc/systemd/system/kelp-agent.service ] && [ ! -e /etc/init.d/kelp-agent ] || agent=yes
	KELP_DATA_DIR=$data $bin/kelp-killall.sh
	remove_services
	wipe_data
	wipe_node
	wipe /etc/kelp
	case $kubeconfig in /*) rm -f "$kubeconfig" ;; esac
	remove_program
	case $snapshots in /*) [ ! -d "$snapshots" ] || say "snapshots are kept in $snapshots" ;; esac
	if [ $agent = yes ]; then say "on a server: kelp kubectl delete node $node"; fi
	say "kelp is removed"
}

main
