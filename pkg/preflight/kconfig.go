package preflight

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	semver "k8s.io/apimachinery/pkg/util/version"
)

// Build is how the kernel was made.
type Build struct {
	Release string            // as uname has it
	Options map[string]string // by name, without CONFIG_; nil where no list was found
	Source  string            // the list's file
}

// oldest is the first kernel on which kube-proxy's nftables mode is supported.
var oldest = semver.MustParseGeneric("5.13")

// wanted are options that cannot be tried for, by what is lost without them.
// What can be tried (links, overlay, cgroups) is: a kernel's list of options
// says less.
var wanted = []struct {
	name string
	loss string
	need bool // nothing works without it
}{
	{"PID_NS", "containers", true},
	{"IPC_NS", "containers", true},
	{"UTS_NS", "containers", true},
	{"NET_NS", "containers", true},
	{"CFS_BANDWIDTH", "limits of CPU", false},
	{"SECCOMP_FILTER", "seccomp profiles", false},
	{"POSIX_MQUEUE", "message queues in containers", false},
	{"KEYS", "session keyrings of containers", false},
	{"NF_CONNTRACK", "Services", true},
	{"NF_NAT", "Services", true},
}

// observeBuild looks where distributions keep the kernel's options.
func observeBuild(root string) Build {
	var b Build
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		b.Release = unix.ByteSliceToString(name.Release[:])
	}
	for _, path := range []string{"proc/config.gz", "boot/config-" + b.Release, "usr/lib/modules/" + b.Release + "/config"} {
		path = filepath.Join(root, path)
		if options, err := readOptions(path); err == nil {
			b.Options, b.Source = options, path
			break
		}
	}
	return b
}

func readOptions(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			return nil, err
		}
	}
	options := map[string]string{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "CONFIG_"), "="); ok {
			options[name] = value
		}
	}
	return options, lines.Err()
}

func checkBuild(b Build) []Finding {
	const check = "kernel"
	var found []Finding
	if v, err := semver.ParseGeneric(b.Release); err == nil && v.LessThan(oldest) {
		found = append(found, warning(check, fmt.Sprintf("Linux %s is older than %s, from which on kube-proxy's nftables mode is supported", b.Release, oldest), "use a newer kernel"))
	} else {
		found = append(found, good(check, "Linux "+b.Release))
	}
	if b.Options == nil {
		return found
	}
	missing := 0
	for _, o := range wanted {
		if b.Options[o.name] != "" {
			continue
		}
		missing++
		text, fix := fmt.Sprintf("the kernel is built without CONFIG_%s (%s): there are no %s", o.name, b.Source, o.loss), "use a kernel that has it, as those of distributions do"
		if o.need {
			found = append(found, failure(check, text, fix))
		} else {
			found = append(found, warning(check, text, fix))
		}
	}
	if missing == 0 {
		found = append(found, good(check, "the kernel is built with what containers need ("+b.Source+")"))
	}
	return found
}
