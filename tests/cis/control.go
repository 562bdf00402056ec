package cis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Verdict is how kelp stands to a control.
type Verdict string

// The verdicts.
const (
	// Passes is a control that a server or agent without any settings meets.
	Passes Verdict = "passes"
	// Setting is one that it meets with the settings of docs/security.md, and not without.
	Setting Verdict = "with a setting"
	// Absent is one about something that kelp does not have.
	Absent Verdict = "does not apply"
	// Yours is about what users put into the cluster. Where there is a check, it is
	// that what comes with kelp does not stand in the way.
	Yours Verdict = "yours"
)

// Check returns nil when what was seen of a host meets a control, or why it does not.
type Check func(Evidence) error

// Control is one of the benchmark's.
type Control struct {
	ID   string
	Asks string
	Verdict
	// How says by what kelp meets it, which setting it takes, or why it does not apply.
	How   string
	Check Check
}

// OnAgents tells whether the control is about each node, and not about servers alone.
func (c Control) OnAgents() bool { return strings.HasPrefix(c.ID, "4.") }

// Section is a part of the benchmark.
type Section struct {
	Title    string
	Controls []Control
}

// Controls are all of the benchmark's controls.
func Controls() []Section {
	return []Section{
		{"1.1 Files of the control plane", controlPlaneFiles()},
		{"1.2 API server", apiServer()},
		{"1.3 Controller manager", controllerManager()},
		{"1.4 Scheduler", scheduler()},
		{"2 etcd", etcd()},
		{"3 Authentication, authorization, logging", authentication()},
		{"4.1 Files of nodes", nodeFiles()},
		{"4.2 Kubelet", kubelet()},
		{"4.3 kube-proxy", kubeProxy()},
		{"5.1 RBAC and service accounts", accounts()},
		{"5.2 Pod security", podSecurity()},
		{"5.3 to 5.6 Network, Secrets, admission, general", general()},
	}
}

// all wants every check to pass.
func all(checks ...Check) Check {
	return func(e Evidence) error {
		var errs []error
		for _, check := range checks {
			errs = append(errs, check(e))
		}
		return errors.Join(errs...)
	}
}

// argument wants an argument of a component to have a value.
func argument(component, name, want string) Check {
	return func(e Evidence) error {
		if got, ok := e.Args[component][name]; !ok || got != want {
			return fmt.Errorf("%s has --%s=%q, want %q", component, name, got, want)
		}
		return nil
	}
}

// given wants arguments of a component to have some value.
func given(component string, names ...string) Check {
	return func(e Evidence) error {
		for _, name := range names {
			if e.Args[component][name] == "" {
				return fmt.Errorf("%s has no --%s", component, name)
			}
		}
		return nil
	}
}

// absent wants an argument of a component not to be there.
func absent(component, name string) Check {
	return func(e Evidence) error {
		if len(e.Args[component]) == 0 {
			return fmt.Errorf("the arguments of %s were not seen", component)
		}
		if got, ok := e.Args[component][name]; ok {
			return fmt.Errorf("%s has --%s=%s", component, name, got)
		}
		return nil
	}
}

// contains wants an argument that is a list to have an item.
func contains(component, name, item string) Check {
	return func(e Evidence) error {
		if !slices.Contains(strings.Split(e.Args[component][name], ","), item) {
			return fmt.Errorf("%s has --%s=%q, without %s", component, name, e.Args[component][name], item)
		}
		return nil
	}
}

// lacks wants an argument that is a list not to have an item.
func lacks(component, name, item string) Check {
	return func(e Evidence) error {
		if len(e.Args[component]) == 0 {
			return fmt.Errorf("the arguments of %s were not seen", component)
		}
		if contains(component, name, item)(e) == nil {
			return fmt.Errorf("%s has %s in --%s", component, item, name)
		}
		return nil
	}
}
