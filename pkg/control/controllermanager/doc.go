// Package controllermanager runs kube-controller-manager inside the process.
//
// Its main type is ControllerManager. args.go computes its arguments as a
// pure function.
//
// What upstream makes difficult: its command installs signal handlers, so
// app.Run is called with a configuration made from its flag sets; it asks
// the API for its health once a second, so it is best started when the API
// is ready; and twenty requests a second, its default, make the forty
// controllers wait five seconds for their identities.
package controllermanager
