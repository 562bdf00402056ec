package containerd

import (
	"path/filepath"

	"github.com/kelp-project/kelp/pkg/config"
)

// defaultRuntime is the runtime of pods without a runtimeClassName.
const defaultRuntime = "runc"

// runcShim is the type of every runtime that has runc's command line.
const runcShim = "io.containerd.runc.v2"

// Runtime is an OCI runtime that the host has.
type Runtime struct {
	// Handler is the name that a RuntimeClass refers to.
	Handler string
	// Type is containerd's runtime type, which names the shim.
	Type string
	// Binary is the runtime's program, for those that have runc's command line.
	Binary string
	// Shim is the shim's program, for those that bring their own.
	Shim string
}

// known are the runtimes that are looked for, by the program whose presence
// decides. Those with a shim of their own are reached through it.
var known = []struct{ handler, program, shimType string }{
	{"crun", "crun", ""},
	{"youki", "youki", ""},
	{"nvidia", "nvidia-container-runtime", ""},
	{"runsc", "containerd-shim-runsc-v1", "io.containerd.runsc.v1"},
	{"kata", "containerd-shim-kata-v2", "io.containerd.kata.v2"},
}

// Runtimes returns the runtimes beside runc for whose programs lookup, which
// is exec.LookPath outside of tests, has an answer.
func Runtimes(lookup func(program string) (string, error)) []Runtime {
	var found []Runtime
	for _, k := range known {
		path, err := lookup(k.program)
		if err != nil {
			continue
		}
		if k.shimType == "" {
			found = append(found, Runtime{Handler: k.handler, Type: runcShim, Binary: path})
		} else {
			found = append(found, Runtime{Handler: k.handler, Type: k.shimType, Shim: path})
		}
	}
	return found
}

// runtimeTable is the CRI's table of runtimes, runc's included. Shims are
// given by absolute path, so that none is picked up from elsewhere in PATH.
func runtimeTable(p config.Paths, in Inputs) map[string]any {
	shim := filepath.Join(p.Bin, "containerd-shim-runc-v2")
	all := append([]Runtime{{Handler: defaultRuntime, Type: runcShim, Binary: filepath.Join(p.Bin, "runc")}}, in.Runtimes...)
	table := make(map[string]any, len(all))
	for _, r := range all {
		entry := map[string]any{"runtime_type": r.Type, "runtime_path": r.Shim}
		if r.Binary != "" {
			entry["runtime_path"] = shim
			entry["options"] = map[string]any{"BinaryName": r.Binary, "SystemdCgroup": in.SystemdCgroup}
		}
		table[r.Handler] = entry
	}
	return table
}
