package flags

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"

	"github.com/kelp-project/kelp/pkg/args"
)

// Set is all flags of one component.
type Set struct{ all *pflag.FlagSet }

// Of joins the named flag sets of an options struct.
func Of(component string, named cliflag.NamedFlagSets) Set {
	all := pflag.NewFlagSet(component, pflag.ContinueOnError)
	for _, name := range named.Order {
		all.AddFlagSet(named.FlagSets[name])
	}
	return Set{all: all}
}

// Names are the names of all flags, sorted.
func (s Set) Names() []string {
	var names []string
	s.all.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	slices.Sort(names)
	return names
}

// Has tells whether there is a flag with the name.
func (s Set) Has(name string) bool { return s.all.Lookup(name) != nil }

// Merge puts the user's arguments over the computed ones.
func (s Set) Merge(computed *args.Set, user []string) error {
	computed.Suggest(s.Names()...)
	return computed.Merge(user, s.Has)
}

// Parse gives every argument to its flag.
func (s Set) Parse(computed *args.Set) error {
	return computed.Parse(func(argument string) error { return s.all.Parse([]string{argument}) })
}

// Common adds the policies of the flags that all components of Kubernetes
// have and of which there is one for the process.
func Common(s *args.Set) {
	const logs = "logs are kelp's; set log.level and log.format"
	for _, name := range []string{"logging-format", "log-flush-frequency", "log-text-info-buffer-size", "log-text-split-stream", "log-json-info-buffer-size", "log-json-split-stream"} {
		s.Refused(name, logs)
	}
	for _, name := range []string{
		"add-dir-header", "alsologtostderr", "log-backtrace-at", "log-dir", "log-file", "log-file-max-size",
		"logtostderr", "one-output", "skip-headers", "skip-log-headers", "stderrthreshold",
	} {
		s.Removed(name, "v1.26", "set log.level and log.format")
	}
}

// Verbosity applies a component's v, which klog has one of per process.
func Verbosity(computed *args.Set) error {
	text, ok := computed.Get("v")
	if !ok {
		return nil
	}
	var level klog.Level
	if err := level.Set(text); err != nil {
		return fmt.Errorf("%s argument v=%s: %w", computed.Component(), text, err)
	}
	return nil
}
