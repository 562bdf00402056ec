//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/tests/hosts"
)

// trio is what the faults are tried on.
type trio struct {
	t       *testing.T // of the whole: hosts that a fault boots live as long
	servers map[string]*server
	leaf    *server
	lb      *hosts.Host
	sans    string // what of a server's configuration is for lb
	ledger  *ledger
}

// leader is the server whose etcd member leads.
func (c *trio) leader(t *testing.T) *server {
	t.Helper()
	var found *server
	hosts.Eventually(t, soon, "an etcd member leads", func(ctx context.Context) error {
		for _, s := range c.servers {
			list, err := s.etcdMembers(ctx)
			if err != nil {
				return err
			}
			for _, m := range list {
				if m.Leader {
					found = c.servers[m.Name]
					return nil
				}
			}
		}
		return errors.New("none does")
	})
	return found
}

// other is a server that is none of those.
func (c *trio) other(not ...*server) *server {
	for _, s := range c.servers {
		if !slices.Contains(not, s) {
			return s
		}
	}
	return nil
}

// pids are the processes of all servers.
func (c *trio) pids(t *testing.T) map[string]string {
	t.Helper()
	pids := map[string]string{}
	for name, s := range c.servers {
		pids[name] = s.run(t, "systemctl show --property=MainPID --value kelp")
	}
	return pids
}

// restarts are how often each container has been restarted, of pods that stay.
func (c *trio) restarts(t *testing.T) map[string]int32 {
	t.Helper()
	pods, err := c.leader(t).client(t).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int32{}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil {
			continue
		}
		for _, s := range p.Status.ContainerStatuses {
			counts[p.Namespace+"/"+p.Name+"/"+s.Name] = s.RestartCount
		}
	}
	return counts
}

func (c *trio) leaderIsKilled(t *testing.T) {
	leader := c.leader(t)
	c.ledger.await(t, soon)
	c.ledger.pause()
	if err := leader.Kill9(t.Context(), "kelp"); err != nil {
		t.Fatal(err)
	}
	c.ledger.await(t, 3*soon)
	t.Logf("with %s killed, writes paused for %s", leader.Name, c.ledger.pause().Round(10*time.Millisecond))
	throughFrontend(t, c.other(leader), c.lb)
	leader.run(t, "systemctl reset-failed kelp")
	leader.start(t)
	leader.awaitVoters(t, 2*soon, 3, 0)
}

func (c *trio) serverIsCutOff(t *testing.T) {
	before, leader := c.pids(t), c.leader(t)
	for _, s := range []*server{leader, c.other(leader)} {
		c.ledger.pause()
		if err := lab.lab.Cut(t.Context(), s.Host); err != nil {
			t.Fatal(err)
		}
		c.ledger.await(t, 3*soon)
		t.Logf("with %s cut off, writes paused for %s", s.Name, c.ledger.pause().Round(10*time.Millisecond))
		r, err := s.Exec(t.Context(), "", hosts.KelpPath, "kubectl", "--request-timeout=3s", "create", "configmap", "alone-"+s.Name)
		if err != nil || r.Code == 0 {
			t.Errorf("%s takes a write while it is alone: %v, %s", s.Name, err, r.Stdout)
		}
		if err := lab.lab.Heal(t.Context(), s.Host); err != nil {
			t.Fatal(err)
		}
		s.awaitVoters(t, 3*soon, 3, 0)
	}
	// What a leader took while it was alone is overwritten. What another one was asked
	// for it passes on, and a leader may still get it when the network is back: the
	// client knows that it does not know.
	if leader.hasConfigMap(t, "alone-"+leader.Name) {
		t.Error("a write that was refused is there")
	}
	if diff := cmp.Diff(before, c.pids(t)); diff != "" {
		t.Errorf("processes ended: %s", diff)
	}
}

// serverIsCutOffOneWay has a leader that hears the others and cannot be heard,
// and then one that is heard and hears nobody.
func (c *trio) serverIsCutOffOneWay(t *testing.T) {
	before := c.pids(t)
	for _, way := range []struct{ hook, match string }{{"output", "oifname"}, {"input", "iifname"}} {
		leader := c.leader(t)
		c.ledger.pause()
		leader.run(t, fmt.Sprintf("nft 'add table inet oneway; add chain inet oneway cut { type filter hook %s priority -300; }; add rule inet oneway cut %s host0 drop'", way.hook, way.match))
		c.ledger.await(t, 3*soon)
		t.Logf("with the %s of %s cut off, writes paused for %s", way.hook, leader.Name, c.ledger.pause().Round(10*time.Millisecond))
		leader.run(t, "nft delete table inet oneway")
		leader.awaitVoters(t, 3*soon, 3, 0)
	}
	if diff := cmp.Diff(before, c.pids(t)); diff != "" {
		t.Errorf("processes ended: %s", diff)
	}
}

// tokenIsRotated has every server's file follow, and no stranger.
func (c *trio) tokenIsRotated(t *testing.T) {
	files := map[string]string{"server": dataDir + "/server/token", "agent": agentTokenFile}
	for role, file := range files {
		old := c.servers["one"].run(t, "cat "+file)
		c.servers["two"].run(t, hosts.KelpPath+" token rotate --role="+role)
		rotated := c.servers["two"].run(t, "cat "+file)
		if rotated == old {
			t.Fatalf("the token for %ss is the old one", role)
		}
		for name, s := range c.servers {
			hosts.Eventually(t, soon, name+" has the rotated token for "+role+"s", func(context.Context) error {
				if s.run(t, "cat "+file) != rotated {
					return errors.New("it has another one")
				}
				return nil
			})
		}
	}
}

// stall is longer than any lease of Kubernetes'.
const stall = 35 * time.Second

// majorityIsAway has one server cut off from the others, and the one that has the
// lease get no time to run.
func (c *trio) majorityIsAway(t *testing.T) {
	before, restarts := c.pids(t), c.restarts(t)
	holder := c.servers[c.servers["two"].kubectl(t, "-n", "kube-system", "get", "lease", "kelp", "-o", "jsonpath={.spec.holderIdentity}")]
	cutOff := c.other(holder)
	c.ledger.await(t, soon)
	if err := lab.lab.Cut(t.Context(), cutOff.Host); err != nil {
		t.Fatal(err)
	}
	holder.run(t, "kill -STOP "+before[nodeName(holder)])
	cut := time.Now()
	cutOff.awaitDiagnosis(t, stall, "problem", "datastore: it does not answer", "most of its servers do not run, or cannot be reached", "kelp etcd members")
	hosts.Eventually(t, 2*stall, "the servers have been apart for long enough", func(context.Context) error {
		if time.Since(cut) < stall {
			return errors.New("not yet")
		}
		return nil
	})
	holder.run(t, "kill -CONT "+before[nodeName(holder)])
	if err := lab.lab.Heal(t.Context(), cutOff.Host); err != nil {
		t.Fatal(err)
	}
	healed := time.Now()
	c.ledger.await(t, 4*soon)
	t.Logf("writes are acknowledged %s after the servers were together again", time.Since(healed).Round(10*time.Millisecond))
	cutOff.awaitVoters(t, 3*soon, 3, 0)
	if diff := cmp.Diff(before, c.pids(t)); diff != "" {
		t.Errorf("processes ended: %s", diff)
	}
	if diff := cmp.Diff(restarts, c.restarts(t)); diff != "" {
		t.Errorf("pods were restarted: %s", diff)
	}
	// A write that goes to a leader which is about to go times out.
	hosts.Eventually(t, 2*soon, "a write through the server that was cut off", func(ctx context.Context) error {
		_, err := cutOff.Kubectl(ctx, "annotate", "namespace", "default", "--overwrite", "example.test/written=after-the-stall")
		return err
	})
	// What must run once runs again.
	namespace := cutOff.namespace(t, "after-the-stall")
	cutOff.apply(t, fmt.Sprintf(pinned, "ha-leaf", namespace))
	cutOff.awaitPod(t, namespace, "host=ha-leaf", podUp)
	c.ledger.check(t, cutOff.client(t))
}

// dataIsDamaged has the server that began the cluster find its write-ahead log
// damaged, as a disk leaves it that lied about what it had written.
func (c *trio) dataIsDamaged(t *testing.T) {
	one, two := c.servers["one"], c.servers["two"]
	if err := one.Kill9(t.Context(), "kelp"); err != nil {
		t.Fatal(err)
	}
	one.run(t, "systemctl stop kelp")
	one.run(t, "set -e; cd "+dataDir+"/server/db/etcd/member/wal; last=$(ls *.wal | tail -n 1); head -c 4096 /dev/urandom | dd of=$last bs=1 seek=2048 conv=notrunc status=none")
	one.run(t, "systemctl start --no-block kelp")
	one.awaitLog(t, soon, "move this directory away")
	one.follow(t, "ha.md", "damaged", nil)
	two.awaitVoters(t, 3*soon, 3, 0)
	one.awaitNode(t, "one", ready)
	c.ledger.check(t, one.client(t))
}

// firstIsReplaced has the first server gone for good, disk and all. An agent that was
// told of it alone starts again without it, and a new machine takes its name.
func (c *trio) firstIsReplaced(t *testing.T) {
	two := c.servers["two"]
	if err := c.servers["one"].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	delete(c.servers, "one")
	c.ledger.stop()
	two.awaitDiagnosis(t, soon, "problem", "datastore: etcd's member one does not answer", "on one: kelp doctor")
	c.leaf.stopKelp(t)
	c.leaf.start(t)
	two.awaitNode(t, "ha-leaf", joined)
	c.ledger.check(t, two.client(t))
	// A new leader's node lifecycle controller gives every node its grace anew.
	two.awaitDiagnosis(t, 2*ready, "problem", "nodes: one is not ready: its kubelet has said nothing", "the machine is off, or the network", "on one: kelp doctor")

	two.kubectl(t, "delete", "node", "one", "--timeout=60s")
	two.awaitVoters(t, 3*soon, 2, 0)
	again := ownHost(c.t, specNamed("first"), "server", serverConfig(two, two.serverToken(t))+c.sans+"node: {name: one}\n")
	again.start(t)
	c.servers["one"] = again
	again.awaitVoters(t, 3*soon, 3, 0)
	c.ledger.check(t, again.client(t))
}

func (c *trio) removedStaysOut(t *testing.T) {
	three, two := c.servers["three"], c.servers["two"]
	if out := three.run(t, hosts.KelpPath+" server leave"); !strings.Contains(out, "three has left") {
		t.Errorf("it printed %q", out)
	}
	three.awaitLog(t, 3*soon, "was removed from its cluster")
	two.awaitVoters(t, 3*soon, 2, 0)
	hosts.Eventually(t, soon, "kelp has ended on the removed server", func(ctx context.Context) error {
		r, err := three.Exec(ctx, "", "systemctl", "is-active", "kelp")
		if err == nil && strings.TrimSpace(r.Stdout) != "failed" {
			return errors.New(r.Stdout)
		}
		return err
	})
	r, err := three.Exec(t.Context(), "", hosts.KelpPath, "server")
	if err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "was removed from its cluster and stays out") {
		t.Fatalf("status %d, %v: %s", r.Code, err, r.Stderr)
	}
	// Its operator takes what is left of it away, and has it join anew. The lease
	// may have been its own: then it has to end before another server goes on.
	hosts.Eventually(t, 3*soon, "its Node is gone", func(context.Context) error {
		_, err := two.client(t).CoreV1().Nodes().Get(t.Context(), "three", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is not: %v", err)
	})
	three.write(t, "/usr/local/bin/kelp-killall.sh", packaged(t, "kelp-killall.sh"))
	three.run(t, "systemctl reset-failed kelp; sh /usr/local/bin/kelp-killall.sh; mv "+dataDir+"/server "+dataDir+"/server.old; mv "+dataDir+"/agent "+dataDir+"/agent.old")
	three.write(t, "/etc/kelp/config.yaml", serverConfig(two, two.serverToken(t))+c.sans)
	three.start(t)
	three.awaitVoters(t, 3*soon, 3, 0)
}

// allStartAgain has all of them go and come back, a server and the agent with
// other addresses than before.
func (c *trio) allStartAgain(t *testing.T) {
	two := c.servers["two"]
	all := append(slices.Collect(maps.Values(c.servers)), c.leaf)
	for _, s := range all {
		s.stopKelp(t)
	}
	moved := map[*server]string{two: "10.88.0.202", c.leaf: "10.88.0.203"}
	for s, address := range moved {
		s.run(t, fmt.Sprintf("ip addr del %s/24 dev host0; ip addr add %s/24 dev host0; ip route replace default via %s", s.Address, address, hosts.Gateway))
		s.Address = address
	}
	for _, s := range all {
		s.run(t, "systemctl start --no-block kelp")
	}
	for _, s := range all {
		two.awaitNode(t, nodeName(s), ready)
	}
	two.awaitVoters(t, 3*soon, 3, 0)
	hosts.Eventually(t, 3*soon, "the new addresses are known everywhere", func(ctx context.Context) error {
		for s, address := range moved {
			node, err := two.client(t).CoreV1().Nodes().Get(ctx, nodeName(s), metav1.GetOptions{})
			if err != nil {
				return err
			}
			if got := node.Status.Addresses[0].Address; got != address {
				return fmt.Errorf("node %s is at %s", node.Name, got)
			}
		}
		members, err := two.Run(ctx, hosts.KelpPath, "etcd", "members")
		if err == nil && !strings.Contains(members, "https://"+two.Address+":2379") {
			err = errors.New(members)
		}
		return err
	})
	connected(t, two, two.namespace(t, "moved"), two, c.leaf)
	for _, s := range c.servers {
		holdsNoKey(t, s, dataDir+"/server/db/etcd")
	}
	c.ledger.check(t, two.client(t))
}

// nodeName is the Node's of a host: one of them has another's name.
func nodeName(s *server) string {
	if s.Name == "first" {
		return "one"
	}
	return s.Name
}
