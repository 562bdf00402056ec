// Package vm boots a whole virtual machine: Debian's cloud kernel with cgroup
// version 2, and a root file system made from the packages that this machine
// has installed. It is what test hosts cannot be: another kernel, a real
// reboot, the cgroups that most users have.
//
// Its main type is Machine. Emulation makes everything about ten times
// slower than on a host, so this is for one smoke run:
//
//	m, err := vm.Start(ctx, vm.Spec{Files: …, Units: …}) // kernel, disk, qemu
//	for line := range m.Lines { … }                      // its serial console
//
// KVM is not used: where these tests run it hangs at boot.
package vm
