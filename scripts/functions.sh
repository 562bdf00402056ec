# shellcheck shell=bash
# Functions for the other scripts, which source this file. Programs and stamps
# are kept under .build, so that a second run with the same inputs does
# nothing.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/.build
modules=$root/scripts/modules

# One build at a time: what one writes, another embeds.
mkdir -p "$build"
exec {lock}>"$build/lock"
flock "$lock"

# goflags are the flags that the whole machine builds with: other ones would
# compile everything a second time. -tags of a program's own replace these.
goflags=$(go env GOFLAGS)
# What is built for another architecture, as GOARCH says, has a place of its own:
# this machine's programs stay, and the source tree embeds only those.
arch=$(go env GOARCH)
foreign=
[[ $arch == "$(go env GOHOSTARCH)" ]] || foreign=$arch
build+=${foreign:+/$foreign}
programs=$build/programs

# embedded PACKAGE prints the directory from which the package embeds its files.
embedded() {
	if [[ $foreign ]]; then echo "$build/embedded/$1"; else echo "$root/pkg/$1/embedded"; fi
}

# here COMMAND… runs a program that is for this machine, whatever is built.
here() { env --unset=GOARCH --unset=CC --unset=PKG_CONFIG_LIBDIR "$@"; }

toolchain="$(go env GOVERSION GOOS GOARCH CC) $goflags"

# fingerprint FILE-OR-TEXT… prints a hash over the toolchain, what is in the
# files and the other words.
fingerprint() {
	local word
	{
		echo "$toolchain"
		for word; do
			if [[ -f $word ]]; then cat "$word"; else echo "$word"; fi
		done
	} | sha256sum | cut -d' ' -f1
}

# unchanged NAME FINGERPRINT OUTPUT… tells whether the outputs were made from
# what has this fingerprint.
unchanged() {
	local stamp=$build/stamps/$1 want=$2 output
	shift 2
	[[ -f $stamp && $(<"$stamp") == "$want" ]] || return 1
	for output; do
		[[ -e $output ]] || return 1
	done
}

# done_with NAME FINGERPRINT remembers that the outputs have been made.
done_with() {
	mkdir -p "$build/stamps"
	echo "$2" >"$build/stamps/$1"
}

# version_of MODULE PATH prints the version that a module directory pins.
version_of() {
	sed -n "s|^\(require \)\{0,1\}[[:space:]]*$2 \(v[^ ]*\).*|\2|p" "$modules/$1/go.mod" | head -n 1
}

# program OUTPUT MODULE PACKAGE [LDFLAGS [ARGUMENT…]] builds a static program
# from a module directory, without C unless cgo=1 stands before it.
program() {
	local output=$programs/$1 module=$2 package=$3 ldflags="-s -w ${4:-}" print
	shift $(($# < 4 ? $# : 4))
	print=$(fingerprint "$modules/$module/"{go.mod,go.sum} "$(cat "$modules/$module/"*.go 2>/dev/null)" \
		"$package" "$ldflags" "${cgo:-0}" "$@")
	local stamp=program-${output#"$programs/"}
	stamp=${stamp//\//-} # payload/runtime/runc: program-payload-runtime-runc
	unchanged "$stamp" "$print" "$output" && return
	echo "build ${output#"$programs/"} from $package"
	mkdir -p "$(dirname "$output")"
	(cd "$modules/$module" && CGO_ENABLED=${cgo:-0} go build -mod=readonly -ldflags "$ldflags" "$@" -o "$output" "$package")
	done_with "$stamp" "$print"
}
