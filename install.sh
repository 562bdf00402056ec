#!/bin/sh
# Installs kelp, or changes how it is installed, and waits until it is ready.
#
#	curl -sfL URL/install.sh | sh -                                                  a server
#	curl -sfL URL/install.sh | KELP_URL=https://HOST:6443 KELP_TOKEN=… sh -            an agent of its cluster
#	curl -sfL URL/install.sh | KELP_URL=https://HOST:6443 KELP_TOKEN=… sh -s - server  another server
#
# The first argument may be server or agent; all others are flags of that command
# of kelp. They and the KELP_ variables become settings in
# /etc/kelp/config.yaml.d/00-install.yaml, the token becomes /etc/kelp/token. With
# none of them, what was installed before keeps its settings.
#
#	INSTALL_KELP_URL          where make dist's directory is served
#	INSTALL_KELP_BIN          a file to take instead; FILE.sha256 and FILE.sig are looked at where they are there
#	INSTALL_KELP_VERSION      takes URL/VERSION/ in place of URL/
#	INSTALL_KELP_CHANNEL      takes the version that URL/channels/CHANNEL names
#	INSTALL_KELP_PUBLIC_KEY   a file with a public key (PEM) that must have signed the program
#	INSTALL_KELP_EXEC         arguments, as one text
#	INSTALL_KELP_SKIP_START   true: does not start or restart it
#	INSTALL_KELP_SKIP_ENABLE  true: does not have it start with the machine
#	INSTALL_KELP_TIMEOUT      how many seconds it may take to be ready, 300
#
# Until the new files are all there and checked, nothing is changed; what goes
# wrong before the start leaves the machine as it was. A kelp that runs is taken
# to another version by kelp upgrade, which goes back when that does not come up.
set -eu
umask 022

# scripts/dist writes here where it will be served.
default_url=''

bin=/usr/local/bin
etc=/etc/kelp
settings=$etc/config.yaml.d/00-install.yaml
token_file=$etc/token

say() { echo "install.sh: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# become_root runs the whole once more through sudo. The script and the variables
# go through standard input, so that no secret is on a command line.
become_root() {
	[ "$(id -u)" != 0 ] || return 0
	command -v sudo >/dev/null || die "this has to be run as root, and there is no sudo"
	script=$work/install.sh
	if [ -f "$0" ] && grep -q '^default_url=' "$0"; then
		cp "$0" "$script"
	elif [ -n "$url" ]; then
		fetch "$url/install.sh" "$script"
	else
		die "this has to be run as root: pipe it into sudo sh -"
	fi
	handed_on=yes
	{
		env | sed -n 's/^\(\(INSTALL_\)\{0,1\}KELP_[A-Z0-9_]*\)=.*/\1/p' | while read -r name; do
			eval "value=\$$name"
			# shellcheck disable=SC2154 # eval gives it its value
			printf "export %s='%s'\n" "$name" "$(printf %s "$value" | sed "s/'/'\\\\''/g")"
		done
		cat "$script"
	} | sudo sh -s - "$@"
	exit
}

# fetch URL FILE
fetch() {
	if command -v curl >/dev/null; then
		curl --fail --silent --show-error --location --output "$2" "$1" || die "cannot fetch $1 to $2"
	elif command -v wget >/dev/null; then
		wget -q -O "$2" "$1" || die "cannot fetch $1 to $2"
	else
		die "there is neither curl nor wget here: install one of them"
	fi
}

# sum FILE prints its SHA-256. Openssl has the processor do it where that can, and takes
# an eighth of the time of sha256sum.
sum() {
	{ openssl dgst -sha256 -r "$1" 2>/dev/null || sha256sum "$1"; } | cut -d' ' -f1
}

# set_role finds out what this machine is to be: what the first argument says, an
# agent where there is a server to join, what it is already, or else a server.
# Given says that there are settings, too.
set_role() {
	given=no
	if [ $# -gt 0 ] || env | grep -q '^KELP_[A-Z0-9_]*='; then given=yes; fi
	case ${1:-} in
	server | agent) role=$1 ;;
	*)
		role=server
		if [ -n "${KELP_URL:-}" ] || installed kelp-agent; then role=agent; fi
		;;
	esac
	service=kelp other=kelp-agent
	if [ "$role" = agent ]; then service=kelp-agent other=kelp; fi
	! installed $other || die "kelp is installed here as $other: kelp-uninstall.sh removes that, with its data"
}

# service_file NAME is where a service of that name is declared.
service_file() {
	case $init in
	systemd) echo "/etc/systemd/system/$1.service" ;;
	openrc) echo "/etc/init.d/$1" ;;
	esac
}

installed() { [ -e "$(service_file "$1")" ]; }

# look_at_host refuses machines that this script has nothing for.
look_at_host() {
	[ "$(uname -s)" = Linux ] || die "kelp runs on Linux, and this is $(uname -s)"
	machine=$(uname -m)
	case $machine in
	x86_64 | amd64) arch=amd64 ;;
	aarch64 | arm64) arch=arm64 ;;
	*) die "kelp is there for amd64 and arm64, and this machine is $machine" ;;
	esac
	if [ -d /run/systemd/system ]; then
		init=systemd
	elif [ -d /run/openrc ] && command -v rc-service >/dev/null; then
		init=openrc
	else
		die "neither systemd nor OpenRC runs here: start kelp server or kelp agent in a way of your own"
	fi
	[ ! -e /usr/bin/kelp ] || die "kelp is installed here as a package: upgrade it as one, or remove the package first"
}

# choose_source sets from, the address that files are fetched from.
choose_source() {
	from=$url
	[ -z "${INSTALL_KELP_BIN:-}" ] || return 0
	[ -n "$from" ] || die "there is nothing to install: set INSTALL_KELP_URL to where a directory of make dist is served, or INSTALL_KELP_BIN to a kelp"
	version=${INSTALL_KELP_VERSION:-}
	if [ -z "$version" ] && [ -n "${INSTALL_KELP_CHANNEL:-}" ]; then
		fetch "$from/channels/$INSTALL_KELP_CHANNEL" "$work/channel"
		read -r version <"$work/channel" || true # a line without an end
	fi
	case $version in
	'') return ;;
	*[!A-Za-z0-9.+_-]*) die "\"$version\" is no version" ;;
	esac
	from=$from/$(echo "$version" | sed 's/+/%2B/g')
}

# get_program sets kelp: the one that is installed, if it is the one that is
# asked for, or a new one beside it.
get_program() {
	kelp=$bin/kelp
	file=${INSTALL_KELP_BIN:-}
	checksum=$work/sha256
	if [ -n "$file" ]; then
		[ -f "$file" ] || die "INSTALL_KELP_BIN is $file, and there is no such file"
		if [ -f "$file.sha256" ]; then cp "$file.sha256" "$checksum"; else sum "$file" >"$checksum"; fi
	else
		fetch "$from/kelp-$arch.sha256" "$checksum"
	fi
	read -r want _ <"$checksum" || true
	case $want in
	*[!0-9a-f]* | '') die "${file:-$from/kelp-$arch}.sha256 holds no SHA-256 checksum" ;;
	esac
	if [ ! -f "$kelp" ] || [ "$(sum "$kelp")" != "$want" ]; then
		make_dir "$bin"
		kelp=$(next "$kelp")
		if [ -n "$file" ]; then
			cp "$file" "$kelp" || die "cannot copy $file to $bin"
		else
			fetch "$from/kelp-$arch" "$kelp"
		fi
		got=$(sum "$kelp")
		[ "$got" = "$want" ] || die "${file:-$from/kelp-$arch} has the SHA-256 checksum $got and should have $want: it is damaged, or not of the same build as its .sha256 file"
		chmod 755 "$kelp"
		staged="$staged $bin/kelp"
		sync "$kelp" 2>/dev/null & # which takes a while; put_in_place waits for it
	fi
	check_signature
	mkdir "$work/files"
	"$kelp" packaging "$work/files" 2>"$work/error" || die "${file:-$from/kelp-$arch} does not run on this machine: $(cat "$work/error")"
	read -r version <"$work/files/version"
}

check_signature() {
	key=${INSTALL_KELP_PUBLIC_KEY:-}
	[ -n "$key" ] || return 0
	command -v openssl >/dev/null || die "a signature is checked with openssl, which is not here: install it"
	signature=$work/sig
	if [ -n "$file" ]; then
		cp "$file.sig" "$signature" || die "there is no signature beside $file"
	else
		fetch "$from/kelp-$arch.sig" "$signature"
	fi
	openssl dgst -sha256 -verify "$key" -signature "$signature" "$kelp" >/dev/null 2>&1 ||
		die "${file:-$from/kelp-$arch} is not signed by the key in $key"
}

# next FILE and old FILE are its names before and after it is in place.
next() { echo "$(dirname "$1")/.$(basename "$1").new"; }
old() { echo "$(dirname "$1")/.$(basename "$1").old"; }

make_dir() {
	[ ! -d "$1" ] || return 0
	make_dir "$(dirname "$1")"
	mkdir "$1" || die "cannot make $1"
	created="$1 $created"
}

# stage FILE TARGET MODE puts a file beside its target, unless that is the same.
stage() {
	if [ -f "$2" ] && [ "$(sum "$1")" = "$(sum "$2")" ]; then return; fi
	make_dir "$(dirname "$2")"
	staged="$staged $2"
	(umask 077 && cp "$1" "$(next "$2")") || die "cannot write to $(dirname "$2")"
	chmod "$3" "$(next "$2")"
}

stage_packaging() {
	for script in kelp-killall.sh kelp-uninstall.sh; do
		stage "$work/files/$script" $bin/$script 755
	done
	case $init in
	systemd)
		mode=644 unit=$work/files/$service.service
		if [ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -ge 254 ]; then
			sed -i -e '/^RestartSec=/a RestartSteps=5' -e '/^RestartSec=/a RestartMaxDelaySec=1min' "$unit"
		fi
		;;
	openrc) mode=755 unit=$work/files/kelp.openrc ;;
	esac
	stage "$unit" "$(service_file $service)" "$mode"
}

# stage_settings has kelp make a file of the flags and the KELP_ variables, which
# it also checks. The token gets a file of its own.
stage_settings() {
	[ $given = yes ] || return 0
	if [ -n "${KELP_URL:-}" ]; then
		KELP_SERVER=$KELP_URL
		export KELP_SERVER
	fi
	if [ -n "${KELP_TOKEN:-}" ]; then
		printf '%s\n' "$KELP_TOKEN" >"$work/token"
		stage "$work/token" $token_file 600
		KELP_TOKEN_FILE=$token_file # which is not in place yet
	elif [ -z "${KELP_TOKEN_FILE:-}" ] && [ -f $token_file ]; then
		KELP_TOKEN_FILE=$token_file
	fi
	if [ -n "${KELP_TOKEN_FILE:-}" ]; then export KELP_TOKEN_FILE; fi
	unset KELP_URL KELP_TOKEN
	"$kelp" config write "$@" "$work/given" || die "these settings are not taken"
	if [ "$role" = agent ] && ! grep -q '^server:' "$work/given" && [ ! -f $etc/config.yaml ]; then
		die "an agent needs KELP_URL, the address of a server as https://HOST:6443, and KELP_TOKEN, a token of its cluster"
	fi
	{
		echo "# What install.sh was given. It writes this file anew when it is given other"
		echo "# settings; files with a later name beside this one count more."
		cat "$work/given"
	} >"$work/settings"
	stage "$work/settings" $settings 600
}

# check_host looks for what would keep kelp from running here.
check_host() {
	if runs; then return; fi
	if [ "$role" = agent ]; then set -- --agent "$@"; fi
	if [ -f "$(next $token_file)" ]; then KELP_TOKEN_FILE=$(next $token_file); fi
	"$kelp" check "$@" >"$work/check" 2>&1 || {
		cat "$work/check" >&2
		die "kelp cannot run here yet"
	}
	if [ -f "$(next $token_file)" ]; then KELP_TOKEN_FILE=$token_file; fi
}

# show says what changes, without secrets.
show() {
	if [ $first = yes ]; then
		say "installing kelp $version as the service $service"
		return
	fi
	for target in $staged; do
		case $target in
		"$bin/kelp") say "$target: $("$target" --version 2>/dev/null | sed -n '1s/.* //p') becomes $version" ;;
		"$settings")
			say "$target changes:"
			for side in "$target" "$(next "$target")"; do
				sed -n -e '/^#/d' -e 's#//.*@#//(redacted)@#' -e p "$side" 2>/dev/null >"$work/side.$(basename "$side")" || true
			done
			diff -U 1 "$work/side.$(basename "$target")" "$work/side.$(basename "$(next "$target")")" | sed -e 1,3d -e 's/^/    /' >&2 || true
			;;
		*) say "$target changes" ;;
		esac
	done
}

# hand_over has the kelp that runs upgrade itself, where it is another version.
# What else is new comes after that.
hand_over() {
	case " $staged " in *" $bin/kelp "*) ;; *) return 0 ;; esac
	if [ "${INSTALL_KELP_SKIP_START:-}" = true ] || ! runs; then return 0; fi
	[ "$("$bin/kelp" --version 2>/dev/null | sed -n '1s/.* //p')" != "$version" ] || return 0
	"$bin/kelp" upgrade --help >/dev/null 2>&1 || return 0 # an older one, which cannot
	wait
	"$bin/kelp" upgrade --sha256="$want" --timeout="${INSTALL_KELP_TIMEOUT:-300}s" "$(next $bin/kelp)" >&2 || die "kelp was not upgraded"
	rm -f "$(next $bin/kelp)"
	others=
	for target in $staged; do
		[ "$target" = $bin/kelp ] || others="$others $target"
	done
	staged=$others upgraded=yes
}

# put_in_place renames all that is new, and keeps what was there until it is done.
put_in_place() {
	wait
	for target in $staged; do
		sync "$(next "$target")" 2>/dev/null || sync
	done
	for target in $staged; do
		[ ! -e "$target" ] || ln -f "$target" "$(old "$target")" 2>/dev/null || cp -p "$target" "$(old "$target")"
		placed="$placed $target"
		mv -f "$(next "$target")" "$target"
	done
	for name in kubectl ctr crictl; do
		command -v $name >/dev/null && continue
		placed="$placed $bin/$name"
		ln -s kelp $bin/$name
	done
	if [ $init = systemd ]; then systemctl daemon-reload; fi
}

# start_at_boot has it start with the machine.
start_at_boot() {
	[ "${INSTALL_KELP_SKIP_ENABLE:-}" != true ] || return 0
	case $init in
	systemd) systemctl is-enabled --quiet $service.service 2>/dev/null || systemctl enable --quiet $service.service ;;
	openrc) [ -e /etc/runlevels/default/$service ] || rc-update --quiet add $service default ;;
	esac
}

# clean_up ends every run. It takes back what was done, unless that was all.
clean_up() {
	status=$?
	trap - EXIT
	if [ $complete = no ]; then
		for target in $placed; do
			if [ -e "$(old "$target")" ]; then mv -f "$(old "$target")" "$target"; else rm -f "$target"; fi
		done
		if [ -n "$placed" ] && [ $init = systemd ]; then systemctl daemon-reload || true; fi
	fi
	for target in $staged $bin/kelp; do
		rm -f "$(next "$target")" "$(old "$target")"
	done
	if [ $complete = no ]; then
		for dir in $created; do rmdir "$dir" 2>/dev/null || true; done
		[ $status = 0 ] || [ $handed_on = yes ] || say "nothing was changed"
	fi
	rm -rf "$work"
	exit $status
}

runs() {
	case $init in
	systemd) systemctl is-active --quiet $service.service ;;
	openrc) rc-service --quiet $service status >/dev/null 2>&1 ;;
	esac
}

# property NAME is one of the unit's.
property() { systemctl show --property="$1" --value $service.service; }

# start_it starts it, or anew where something has changed, and waits for it.
start_it() {
	deadline=$(($(date +%s) + ${INSTALL_KELP_TIMEOUT:-300}))
	case $init in
	systemd)
		before=$(property InvocationID)
		systemctl restart --no-block $service.service
		await_unit
		;;
	openrc) rc-service $service restart >&2 || failed "kelp does not start" ;;
	esac
	await_ready
}

# await_unit waits until systemd was told that kelp is ready, and says every few
# seconds what it waits for.
await_unit() {
	said=$(date +%s)
	while :; do
		if [ "$(property InvocationID)" != "$before" ]; then # this start, not the one before
			case $(property SubState) in
			running) return ;;
			failed | dead | auto-restart*) failed "kelp does not start" ;;
			esac
			if [ $(($(date +%s) - said)) -ge 5 ]; then
				say "$(property StatusText)"
				said=$(date +%s)
			fi
		fi
		[ "$(date +%s)" -lt $deadline ] || failed "kelp is not ready after ${INSTALL_KELP_TIMEOUT:-300} s"
		sleep 0.2
	done
}

await_ready() {
	left=$((deadline - $(date +%s)))
	[ $left -gt 0 ] || left=1
	$bin/kelp status --wait --timeout=${left}s >"$work/status" 2>&1 || {
		cat "$work/status" >&2
		failed "kelp is not ready after ${INSTALL_KELP_TIMEOUT:-300} s"
	}
}

failed() {
	case $init in
	systemd)
		journalctl --unit=$service.service --lines=10 --no-pager --output=cat >&2 || true
		die "$1; see journalctl -u $service. It is installed and goes on trying: systemctl stop $service ends that, kelp-uninstall.sh removes it"
		;;
	openrc)
		tail -n 10 /var/log/$service.log >&2 || true
		die "$1; see /var/log/$service.log"
		;;
	esac
}

# setting NAME is a setting as kelp sees it.
setting() { awk -v name="$1" '$1 == name { print $2 }' "$work/config"; }

# join_command ROLE TOKEN is what to run on another machine.
join_command() {
	if [ -n "${INSTALL_KELP_BIN:-}" ]; then
		echo "INSTALL_KELP_BIN=kelp KELP_URL=$api KELP_TOKEN=$2 sh install.sh $1"
		return
	fi
	how=
	[ "$url" = "$default_url" ] || how="INSTALL_KELP_URL=$url "
	[ -z "${INSTALL_KELP_CHANNEL:-}" ] || how="${how}INSTALL_KELP_CHANNEL=$INSTALL_KELP_CHANNEL "
	[ -z "${INSTALL_KELP_VERSION:-}" ] || how="${how}INSTALL_KELP_VERSION=$INSTALL_KELP_VERSION "
	echo "curl -sfL $url/install.sh | ${how}KELP_URL=$api KELP_TOKEN=$2 sh -s - $1"
}

# tell says what to do next.
tell() {
	$bin/kelp config >"$work/config" || true
	echo "kelp $version is ready, as $role $(setting node.name)"
	[ $first = yes ] || return 0
	if [ "$role" = agent ]; then
		echo "on a server:      kelp kubectl get nodes"
		return
	fi
	address=$(setting api.advertiseAddress)
	case $address in *:*) address="[$address]" ;; esac
	api=https://$address:$(setting api.httpsPort)
	token="$bin/kelp token create --description=install.sh"
	cat <<END
look at it:       kelp kubectl get pods -A
                  as root; other clients take a copy of $(setting kubeconfig.path)
an agent joins:   $(join_command agent "$($token)")
a server joins:   $(join_command server "$($token --role=server)")
                  the tokens are good for 24 hours; kelp token create makes others
END
}

# install_with FLAG… is all of it, when the arguments are known.
install_with() {
	choose_source
	get_program
	stage_packaging
	stage_settings "$@"
	check_host "$@"
	again=no first=no upgraded=no
	installed $service || first=yes
	if [ -n "$staged" ]; then
		show
		hand_over
		put_in_place
	fi
	start_at_boot
	complete=yes
	for target in $staged; do
		case $target in *.sh) ;; *) again=yes ;; esac
	done
	if [ "${INSTALL_KELP_SKIP_START:-}" = true ]; then
		say "kelp $version is installed, and not started or restarted, as INSTALL_KELP_SKIP_START says"
	elif [ $again = yes ] || ! runs; then
		start_it
		tell
	elif [ $upgraded = yes ]; then
		tell
	elif [ -z "$staged" ]; then
		say "kelp $version is installed like this already, and runs: nothing was changed"
	fi
}

main() {
	url=${INSTALL_KELP_URL:-$default_url}
	url=${url%/}
	staged='' placed='' created='' complete=no init=none handed_on=no
	work=$(mktemp -d)
	trap clean_up EXIT
	trap 'exit 130' INT TERM HUP
	set -f
	# shellcheck disable=SC2086 # words
	set -- ${INSTALL_KELP_EXEC:-} "$@"
	set +f
	unset INSTALL_KELP_EXEC
	# A token leaves the arguments: no program gets it on its command line.
	count=$#
	while [ "$count" -gt 0 ]; do
		case $1 in
		--token=* | -t=*) export KELP_TOKEN="${1#*=}" ;;
		--token | -t)
			[ "$count" -gt 1 ] || die "$1 has no value"
			export KELP_TOKEN="$2"
			shift
			count=$((count - 1))
			;;
		*) set -- "$@" "$1" ;;
		esac
		shift
		count=$((count - 1))
	done
	become_root "$@"
	look_at_host
	set_role "$@"
	case ${1:-} in server | agent) shift ;; esac
	install_with "$@"
}

main "$@"
