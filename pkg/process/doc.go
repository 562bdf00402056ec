// Package process owns what there is only one of in a process and what
// upstream keeps in globals: the log and klog's way into it, signals, what
// klog.Fatal does, and what systemd is told. Setup is called once, before any
// component exists.
//
// Upstream's traps:
//
//   - klog is one for all of Kubernetes. logs.ValidateAndApply and the
//     components' own flags would configure it anew, so no component of kelp
//     calls them; their flags for logging are refused (package args).
//   - What klog calls info is debug to kelp, or a clean start would log
//     thousands of lines. logr has no warnings: they arrive as info.
//   - klog.Fatal ends the process through klog.OsExit, which is set here: the
//     reason is logged with the component, and the other components are
//     stopped in order first.
//   - The signal handler of k8s.io/apiserver panics when it is asked for
//     twice; SignalContext takes its place.
package process
