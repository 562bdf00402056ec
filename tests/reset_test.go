//go:build e2e

package tests

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// Two of three servers are lost: the third goes on alone, with everything; the
// others, when they are back, set their data aside and join anew, the one that
// began the cluster, too. Then a snapshot is restored on one of them, and the same
// happens with whoever has later data.
func TestLostMajority(t *testing.T) {
	t.Parallel()
	one := ownServer(t, specNamed("reset-one"), "")
	one.start(t)
	one.refuses(t, "kelp is running", "server", "--cluster-reset")
	two := ownHost(t, specNamed("reset-two"), "server", serverConfig(one, one.serverToken(t)))
	three := ownHost(t, specNamed("reset-three"), "server", serverConfig(one, one.serverToken(t)))
	two.start(t)
	three.start(t)
	one.awaitVoters(t, 3*soon, 3, 0)
	one.kubectl(t, "create", "configmap", "early")
	file := one.saveSnapshot(t, "early")
	one.run(t, "cp "+file+" /root/early.snapshot.zst")
	one.kubectl(t, "create", "configmap", "late")
	all := []*server{one, two, three}

	three.stopKelp(t)
	three.refuses(t, "has a leader", "server", "--cluster-reset")
	one.kubectl(t, "create", "configmap", "latest")
	one.stopKelp(t) // and with it the majority
	three.refuses(t, "has newer data", "server", "--cluster-reset")
	// One with older data runs meanwhile, and looks for the one that is reset.
	two.stopKelp(t)
	three.run(t, "systemctl start --no-block kelp")
	hosts.Eventually(t, soon, "etcd runs on "+three.Name, func(ctx context.Context) error {
		_, err := three.Run(ctx, "sh", "-c", "ss -Hltn sport = :2380 | grep -q .")
		return err
	})
	two.follow(t, "backup.md", "reset", nil)
	two.awaitVoters(t, soon, 1, 0)
	for _, name := range []string{"early", "late", "latest"} {
		if !two.hasConfigMap(t, name) {
			t.Errorf("the server that goes on alone has lost %s", name)
		}
	}
	two.awaitReason(t, "before-reset")
	one.run(t, "systemctl start --no-block kelp")
	two.awaitVoters(t, 4*soon, 3, 0)
	two.run(t, "systemctl set-environment KELP_CLUSTER_RESET=true; systemctl stop kelp")
	two.start(t) // the flag was left behind
	two.awaitLog(t, soon, "is not reset again")
	two.run(t, "systemctl unset-environment KELP_CLUSTER_RESET")
	for _, s := range []*server{one, three} {
		s.awaitVoters(t, 4*soon, 3, 0)
		if kept := s.run(t, "ls -d "+dataDir+"/server/db/etcd.before-rejoin-*"); !strings.Contains(kept, "before-rejoin") {
			t.Errorf("%s has not kept its data: %q", s.Name, kept)
		}
		if !s.hasConfigMap(t, "latest") {
			t.Errorf("%s does not have what the cluster has", s.Name)
		}
	}

	steps := commands(t, "backup.md", "three")
	for _, s := range all {
		s.run(t, steps[0])
	}
	one.run(t, strings.ReplaceAll(steps[1], "$SNAPSHOT", "/root/early.snapshot.zst"))
	// The others find each other first, and are a majority of the old cluster.
	two.run(t, "systemctl start --no-block kelp")
	three.run(t, "systemctl start --no-block kelp")
	hosts.Eventually(t, 4*soon, "the old cluster answers", func(ctx context.Context) error {
		_, err := two.Kubectl(ctx, "get", "configmap", "late")
		return err
	})
	one.run(t, steps[2])
	for _, s := range all {
		s.awaitVoters(t, 4*soon, 3, 0)
		if !s.hasConfigMap(t, "early") || s.hasConfigMap(t, "late") {
			t.Errorf("%s does not have what was restored", s.Name)
		}
	}
	for _, name := range []string{"reset-one", "reset-two", "reset-three"} {
		one.awaitNode(t, name, ready)
	}
	fmt.Fprintln(t.Output(), one.run(t, hosts.KelpPath+" etcd members"))
}
