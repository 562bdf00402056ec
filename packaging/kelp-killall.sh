#!/bin/sh
# Stops kelp and all of its pods, and takes away what they leave in the running
# system: mounts, interfaces, packet filter rules, cgroups. Data stays; the next
# start of kelp starts the pods again. What is not kelp's is left alone, other
# container runtimes' shims and namespaces included, and so is a kelp that runs in a
# container of this machine.
#
#	KELP_DATA_DIR  the data directory, if it is not /var/lib/kelp
set -eu

data=${KELP_DATA_DIR:-/var/lib/kelp}
run=/run/kelp
socket=$run/containerd/containerd.sock

say() { echo "kelp-killall: $*" >&2; }

[ "$(id -u)" = 0 ] || { say "must run as root: use sudo"; exit 1; }
case $data in
/*[!/]*) data=${data%/} ;;
*) say "KELP_DATA_DIR is $data: it has to be an absolute path, and not /"; exit 1 ;;
esac

# argument PID N: the N-th argument of a process, from 1.
argument() {
	tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline" | sed -n "$2p"
}

# here PID: whether a process is one of this machine's own, and in no container.
here() {
	[ "$(readlink "/proc/$1/ns/pid")" = "$(readlink /proc/self/ns/pid)" ]
}

# supervisors: the processes that are "kelp server" or "kelp agent".
supervisors() {
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		name=$(argument "$pid" 1)
		[ "${name##*/}" = kelp ] || continue
		case $(argument "$pid" 2) in
		server | agent) if here "$pid"; then echo "$pid"; fi ;;
		esac
	done
}

# shims: those that were started for kelp's containerd.
shims() {
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		case $(argument "$pid" 1) in
		*containerd-shim*) ;;
		*) continue ;;
		esac
		if tr '\0' '\n' <"$dir/cmdline" 2>/dev/null | grep -qxF "$socket" && here "$pid"; then echo "$pid"; fi
	done
}

# family PID: a process and all below it.
family() {
	echo "$1"
	for task in /proc/"$1"/task/*/children; do
		[ -r "$task" ] || continue
		read -r children <"$task" || true # a line without an end
		for child in $children; do family "$child"; done
	done
}

# gone WHAT SECONDS: waits until a function names no process any more.
gone() {
	deadline=$(($(date +%s) + $2))
	while [ -n "$("$1")" ]; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

stop_kelp() {
	if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
		for unit in kelp.service kelp-agent.service; do
			systemctl stop "$unit" 2>/dev/null || true
		done
	fi
	for name in kelp kelp-agent; do
		if [ -e "/etc/init.d/$name" ]; then rc-service --quiet "$name" stop 2>/dev/null || true; fi
	done
	pids=$(supervisors)
	[ -n "$pids" ] || return 0
	# shellcheck disable=SC2086 # a list of numbers
	kill -TERM $pids 2>/dev/null || true
	gone supervisors 20 && return 0
	# shellcheck disable=SC2046
	kill -KILL $(supervisors) 2>/dev/null || true
	gone supervisors 5 || say "a kelp process does not end"
}

stop_pods() {
	pids=
	for shim in $(shims); do pids="$pids $(family "$shim")"; done
	[ -n "$pids" ] || return 0
	# All at once, shims included: a shim that lives would only tidy up what is
	# taken away below.
	# shellcheck disable=SC2086
	kill -KILL $pids 2>/dev/null || true
	gone shims 10 || say "a container's shim does not end"
}

# runtime_state: what runc and the shims note in directories that they share with
# those of every other containerd: the state of kelp's containers, and sockets
# that nobody listens on any more.
runtime_state() {
	shared=/run/containerd
	[ -d "$shared" ] || return 0
	for state in "$shared"/runc/k8s.io/*/state.json; do
		if [ -f "$state" ] && grep -qF "\"$run/" "$state"; then rm -rf "${state%/*}"; fi
	done
	for file in "$shared"/s/*; do
		if [ -S "$file" ] && ! grep -q " $file$" /proc/net/unix; then rm -f "$file"; fi
	done
	find "$shared" -xdev -depth -type d -empty -delete 2>/dev/null || true # mount points stay
}

# mounts: what is mounted below kelp's directories, the deepest first.
mounts() {
	awk -v data="$data" '
		function below(dir) { return index($2, dir "/") == 1 }
		below("/run/kelp") || below(data) || below("/var/lib/kubelet/pods") || below("/var/lib/kubelet/plugins") { print $2 }
	' /proc/self/mounts | sort -r
}

unmount() {
	mounts | while IFS= read -r path; do
		path=$(printf '%b' "$path") # the kernel writes blanks as \040
		umount "$path" 2>/dev/null || umount -l "$path" 2>/dev/null || say "cannot unmount $path"
	done
}

interfaces() {
	command -v ip >/dev/null || return 0
	if [ -d /sys/class/net/cni0/brif ]; then
		for port in /sys/class/net/cni0/brif/*; do
			[ ! -e "$port" ] || ip link delete "${port##*/}" 2>/dev/null || true
		done
	fi
	for name in cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6; do
		[ ! -e "/sys/class/net/$name" ] || ip link delete "$name" 2>/dev/null || say "cannot delete interface $name"
	done
}

# nft_rules: the tables that kube-proxy, kelp, flannel and the CNI plugins have to
# themselves.
nft_rules() {
	command -v nft >/dev/null || return 0
	for table in kube-proxy kelp_policy kelp_tunnel flannel-ipv4 flannel-ipv6 cni_hostport cni_plugins_masquerade; do
		for kind in ip ip6 inet; do
			nft delete table "$kind" "$table" 2>/dev/null || true
		done
	done
}

# iptables_rules: the chains of kube-proxy, the kubelet, flannel and the CNI
# plugins in tables that belong to everybody.
iptables_rules() {
	ours='KUBE-|CNI-|FLANNEL-'
	for program in iptables ip6tables; do
		command -v "$program-save" >/dev/null || continue
		saved=$("$program-save" 2>/dev/null) || continue
		echo "$saved" | grep -qE "^:($ours)" || continue
		echo "$saved" | grep -vE "^:($ours)|^-A ($ours)|-j ($ours)|-g ($ours)|--comment \"?(flanneld|cni|kubernetes)" | "$program-restore" ||
			say "cannot take kelp's rules out of $program"
	done
}

# empty_tables: what iptables has made in nftables for the chains above, and
# nobody uses: base chains that accept everything.
empty_tables() {
	command -v nft >/dev/null || return 0
	for kind in ip ip6; do
		for table in filter mangle nat raw; do
			rules=$(nft list table "$kind" "$table" 2>/dev/null) || continue
			echo "$rules" | grep -qvE '^$|^#|^table |^	chain (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) \{|^		type .* policy accept;$|^	?\}$' ||
				nft delete table "$kind" "$table" 2>/dev/null || true
		done
	done
}

cgroups() {
	if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
		systemctl stop kubepods.slice 2>/dev/null || true
	fi
	find /sys/fs/cgroup -depth -type d \( -path '*/kubepods/*' -o -name kubepods -o -path '*/kubepods.slice/*' -o -name kubepods.slice \) -exec rmdir {} + 2>/dev/null || true
}

stop_kelp
stop_pods
unmount
runtime_state
interfaces
nft_rules
iptables_rules
empty_tables
cgroups
[ ! -d "$run" ] || find "$run" -xdev -delete
