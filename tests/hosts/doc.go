// Package hosts boots test hosts: real systemd as PID 1, in a container of
// systemd-nspawn over an overlay of the machine's own root, so that kelp runs
// as it does on a user's machine, with nothing to install first.
//
// Its main types are Lab, a network of its own that nothing leaves, and Host,
// one machine on it. A host boots in about a second.
//
//	lab, err := hosts.Open(ctx, hosts.Options{})  // sweeps what a killed run left behind
//	host, err := lab.Boot(ctx, hosts.Spec{Name: "a"})
//	out, err := host.Run(ctx, "systemctl", "is-system-running")
//	lab.Cut(ctx, host); lab.Heal(ctx, host)
//	lab.Close(ctx)
//
// A lab is a network namespace with one bridge: 10.88.0.0/24 and fd88::/64,
// the bridge itself is .1, and nothing is routed on from there. A host is a
// process tree in namespaces of its own, including a mount namespace that
// holds the overlay: when its processes end, its mounts are gone. It ends
// with the process that booted it, even when that is killed.
//
// What makes it difficult: the host's cgroup namespace must have a root of its
// own in every version 1 hierarchy, or all hosts share one kubepods; nspawn
// mounts the controllers read-only; overlay on overlay is refused, so the data
// directories are on the real disk.
package hosts
