// Package kubelet runs the kubelet inside kelp's process.
//
// The type is Kubelet. Configuration computes the typed
// KubeletConfiguration and Args the few flags that have no place in it, both
// from kelp's configuration alone. Over them go, in upstream's order, the
// user's drop-ins (Merge) and the user's arguments, which win, save in the
// fields that are kelp's (ownedFields).
//
// What is secure without asking: no anonymous requests, authentication and
// authorization by the API server, the client authority, no read-only port,
// health only on loopback, the runtime's seccomp profile for every container.
// The serving certificate is kelp's and is read again when it is renewed; so
// is the client certificate, by client-go. The kubelet's own rotation by CSR
// stays off: two engines for one certificate would be one too many.
//
// Upstream's traps: Run's config-dir and config-file handling lives in its
// cobra command, with its signal handler, so it is done here; drop-ins are
// not decoded strictly upstream, so that a typing error is silent, which is
// refused here; defaulting panics on an unknown feature gate; the kubelet
// calls os.Exit when it cannot listen or when kernel settings differ, so both
// are checked before; cAdvisor's containerd socket is a package variable
// since the flag went in 1.37; setting nodeStatusUpdateFrequency makes the
// report frequency follow it, so it is left alone; it tells systemd READY=1
// by itself unless NOTIFY_SOCKET is gone from the environment.
package kubelet
