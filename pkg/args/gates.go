package args

import "fmt"

// goneGates are feature gates that guides name and that upstream has removed,
// once their feature was there for good, or was dropped.
var goneGates = map[string]Removal{
	"DynamicKubeletConfig": {Release: "v1.26", Successor: "put drop-ins into kubelet.configDir"},
	"EphemeralContainers":  {Release: "v1.27", Successor: "they are always on"},
	"PodSecurity":          {Release: "v1.28", Successor: "pod security admission is always on"},
	"SeccompDefault":       {Release: "v1.29", Successor: "use the field seccompDefault of the KubeletConfiguration, which kelp sets"},
}

// GoneGate says that a feature gate was removed, since when, and what came in its
// place. It is nil for all others, the unknown ones included.
func GoneGate(name string) error {
	if r, gone := goneGates[name]; gone {
		return fmt.Errorf("feature gate %s was removed in %s: %s", name, r.Release, r.Successor)
	}
	return nil
}
