package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// Stamped by the build. They stay free of initialisers, for the linker can
// stamp no others.
var (
	// Version is kelp's own version, such as v1.37.2+kelp1.
	Version string
	// Commit is the commit that kelp was built from, with -dirty if the
	// checkout had changes.
	Commit string
	// KubernetesVersion is the version of the Kubernetes that is built in.
	KubernetesVersion string
	// Date is when that commit was made, as in RFC 3339: earlier than that no clock
	// is right.
	Date string
)

func init() {
	if Version == "" {
		Version = "dev"
	}
	if Commit == "" {
		Commit = recordedCommit()
	}
	if KubernetesVersion == "" {
		KubernetesVersion = recordedModule("k8s.io/kubernetes")
	}
}

// Made is when the commit was made, the zero time where that is not known.
func Made() time.Time {
	made, err := time.Parse(time.RFC3339, Date)
	if err != nil || made.Unix() <= 0 { // what is built without git has 1970
		return time.Time{}
	}
	return made
}

// unknown is shown for what was neither stamped nor recorded.
const unknown = "unknown"

// String is the text of kelp --version, one thing a line.
func String() string {
	return fmt.Sprintf("kelp %s\ncommit %s\nkubernetes %s\ngo %s %s/%s\n",
		Version, Commit, KubernetesVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func recordedModule(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return unknown
}

func recordedCommit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	commit, dirty := unknown, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return commit + dirty
}
