// Package scheduler runs kube-scheduler inside the process.
//
// Its main type is Scheduler. args.go computes its arguments as a pure
// function; a KubeSchedulerConfiguration of the user's, given as the
// argument config=FILE, gets what kelp must decide put into it.
//
// What upstream makes difficult: its command installs signal handlers and
// exits the process, so app.Setup and app.Run are called with options made
// from its flag sets; a configuration file makes it ignore the arguments
// that the file could hold; and it returns an error when it was told to stop.
package scheduler
