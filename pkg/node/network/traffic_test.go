package network

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flannel-io/flannel/pkg/subnet"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

func withStop(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

func eventually(t *testing.T, try func() error) {
	t.Helper()
	if err := poll.Until(t.Context(), 5*time.Second, func(context.Context) error { return try() }); err != nil {
		t.Fatal(err)
	}
}

// inOwnNetwork runs the calling test again in a process with a user and a
// network namespace of its own, where it may do what it likes and nothing of
// the machine is seen or changed; it says whether this is that process.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	const marker = "KELP_TEST_OWN_NETWORK"
	if os.Getenv(marker) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

func ruleset(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("list rules: %v: %s", err, out)
	}
	return string(out)
}

func TestRules(t *testing.T) {
	t.Parallel()
	if !inOwnNetwork(t) {
		return
	}
	text, err := NetConf(dualStack(), Inputs{NFTables: true})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := subnet.ParseConfig(string(text))
	if err != nil {
		t.Fatal(err)
	}
	rules := newTraffic(Inputs{NFTables: true}, conf, Node{PodCIDRs: prefixes("10.42.3.0/24", "2001:db8:42:3::/64")})
	if err := rules.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := ruleset(t)
	for _, want := range []string{
		"ip saddr 10.42.3.0/24 ip daddr 10.42.0.0/16 return",
		"ip saddr 10.42.0.0/16 ip daddr != 224.0.0.0/4 masquerade",
		"ip6 saddr 2001:db8:42::/56 ip6 daddr != ff00::/8 masquerade",
		"ip daddr 10.42.0.0/16 accept",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("no rule %q in\n%s", want, first)
		}
	}
	if err := rules.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := ruleset(t); again != first {
		t.Errorf("setting the rules again changed them from\n%s\nto\n%s", first, again)
	}
	if out, err := exec.CommandContext(t.Context(), "nft", "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("flush rules: %v: %s", err, out)
	}
	if err := rules.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := ruleset(t); again != first {
		t.Errorf("after somebody flushed all rules they are\n%s\nand not\n%s", again, first)
	}
}

// A policy such as Docker's: what is not known is not forwarded.
func TestAlongsideAFirewallThatDrops(t *testing.T) {
	t.Parallel()
	if !inOwnNetwork(t) {
		return
	}
	run := func(program string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", program, args, err, out)
		}
		return string(out)
	}
	text, err := NetConf(config.Default(), Inputs{NFTables: true})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := subnet.ParseConfig(string(text))
	if err != nil {
		t.Fatal(err)
	}
	rules := newTraffic(Inputs{NFTables: true}, conf, Node{PodCIDRs: prefixes("10.42.3.0/24")})
	if err := rules.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := run("iptables", "-S"); strings.Contains(now, "FLANNEL") {
		t.Errorf("rules beside a firewall that drops nothing:\n%s", now)
	}
	run("iptables", "-P", "FORWARD", "DROP")
	if err := rules.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := run("iptables", "-S")
	for _, want := range []string{"-A FORWARD", "-j FLANNEL-FWD", "-A FLANNEL-FWD -s 10.42.0.0/16", "-A FLANNEL-FWD -d 10.42.0.0/16"} {
		if !strings.Contains(now, want) {
			t.Errorf("no %q in\n%s", want, now)
		}
	}
}
