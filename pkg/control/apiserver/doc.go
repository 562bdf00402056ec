// Package apiserver runs kube-apiserver inside the process, without a
// listener of its own: pkg/front calls its handler.
//
// Its main type is APIServer. args.go computes its arguments as a pure
// function; hooks.go holds the start-up steps that upstream delays by a
// second and that are done at once here.
//
// What upstream makes difficult: NewAPIServerCommand installs a signal
// handler that panics the second time, so options are filled through their
// flag sets; the server insists on a TCP listener, so it gets one that never
// accepts; the feature gates are one set per process; and on start it tells
// systemd READY=1 and takes NOTIFY_SOCKET out of the environment, so kelp
// must have read that before.
package apiserver
