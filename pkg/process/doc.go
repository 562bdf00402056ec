// Package process owns what there is only one of in a process and what
// upstream keeps in globals: the log and the ways into it, signals, what
// klog.Fatal does, resource limits, and what systemd is told. Setup is called
// once, before any component exists.
//
// What is logged. There are two loggers: kelp's own, which Setup's context
// carries, and logrus's standard one, for libraries and for whoever forgot to
// pass a context on; that one says nothing below a warning unless it is asked
// to debug. What upstream calls info is debug here, or a clean start would log thousands of lines of which none
// needs a person; klog's warnings are debug too, as they are about flags and
// old APIs that only upstream's developers can change; klog's errors are
// warnings, because upstream tries again, and what ends its journey as an
// error is a component's failure, which the supervisor returns. expected.go
// lists the errors that are none, and those that are none during a start.
// With --log-level=debug all of it shows.
//
// Upstream's traps:
//
//   - klog is one for all of Kubernetes. logsapi.ValidateAndApply and the
//     components' logging flags would configure it anew and panic or fail the
//     second time, so no component of kelp calls or has them (their flags are
//     refused by name, see control/internal/flags).
//   - Behind a plain logr sink, klog.Warning and klog.Fatal arrive as info,
//     so that the reason of an end is lost: lines that are not structured
//     come as klog's own bytes, which begin with the severity.
//   - klog.Fatal and klog.FlushAndExit end the process through klog.OsExit,
//     which is set here: the other components are stopped in order first.
//     os.Exit (kube-proxy when the node's address changes, etcd's fatal zap
//     lines) and panics in goroutines cannot be caught: systemd restarts kelp.
//   - The signal handler of k8s.io/apiserver panics when it is asked for
//     twice; Setup takes its place.
//   - Feature gates are one set for the process, filled from several sides:
//     ComponentGlobalsRegistry.Set of the apiserver, SetFromMap of kubelet and
//     kube-proxy, SetFallback of controller manager and scheduler, which does
//     nothing once Set was called. A gate that was asked for its value must
//     not change any more. So the gates of all components' arguments are
//     joined, checked for contradictions, and set by the apiserver, which
//     comes first (flags.Gates in pkg/control/internal/flags); what the
//     kubelet sets later are the same values again.
package process
