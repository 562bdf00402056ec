package flags

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
)

// gatesKey is the argument with which all components take feature gates.
const gatesKey = "feature-gates"

// Gates returns the feature gates of all components' arguments, sorted. One
// process has one set of gates, so two components that ask for different
// values of one gate are an error.
func Gates(user config.Args) ([]string, error) {
	type said struct{ value, by string }
	var problems []error
	gates := map[string]said{}
	for _, c := range []struct {
		component string
		args      []string
	}{
		{"kube-apiserver", user.APIServer},
		{"kube-controller-manager", user.ControllerManager},
		{"kube-scheduler", user.Scheduler},
		{"kubelet", user.Kubelet},
		{"kube-proxy", user.Proxy},
	} {
		for gate, arg := range gatesOf(c.args) {
			name, value, ok := strings.Cut(gate, "=")
			err := args.GoneGate(name)
			if before, twice := gates[name]; !ok {
				err = fmt.Errorf("write %q as Name=true or Name=false", gate)
			} else if twice && before.value != value {
				err = fmt.Errorf("feature gate %s is %s for %s and %s for %s: there is one set of gates for all components",
					name, before.value, before.by, value, c.component)
			}
			if err != nil {
				problems = append(problems, &args.Problem{Component: c.component, Argument: arg, Err: err})
			}
			gates[name] = said{value, c.component}
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	out := make([]string, 0, len(gates))
	for name, s := range gates {
		out = append(out, name+"="+s.value)
	}
	slices.Sort(out)
	return out, nil
}

// WithoutGates returns the arguments that are not feature gates.
func WithoutGates(user []string) []string {
	return slices.DeleteFunc(slices.Clone(user), func(arg string) bool {
		_, is := gatesIn(arg)
		return is
	})
}

// ApplyGates puts the gates of all components into the one that sets them.
func ApplyGates(s *args.Set, gates []string) {
	if len(gates) > 0 {
		s.Append(gatesKey, gates...)
	}
}

// gatesOf yields each gate and the argument that it is in.
func gatesOf(user []string) iter.Seq2[string, string] {
	return func(yield func(gate, arg string) bool) {
		for _, arg := range user {
			text, is := gatesIn(arg)
			if !is {
				continue
			}
			for gate := range strings.SplitSeq(text, ",") {
				if gate = strings.TrimSpace(gate); gate != "" && !yield(gate, arg) {
					return
				}
			}
		}
	}
}

// gatesIn returns the value of an argument that sets feature gates.
func gatesIn(arg string) (string, bool) {
	name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
	return value, strings.ReplaceAll(name, "_", "-") == gatesKey
}
