// Package tests holds the end-to-end scenarios: the shipped binary on booted
// hosts, one scenario per file, named after what a user would call it.
//
//	make test-e2e                     all of them (build tag e2e, needs root)
//	make test-e2e E2E=TestPodsSurvive some of them
//	make test-vm                      a virtual machine with cgroup v2 (build tag vm)
//
// Most scenarios share one server, each in a namespace of its own; those that
// need another configuration, or break things, boot a host of their own. A
// failed scenario prints the status, the journal and the pods of its host.
package tests
