//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kelp-project/kelp/tests/hosts"
)

// serverConfig is the whole configuration of a server that joins others.
func serverConfig(s *server, token string) string {
	return fmt.Sprintf("server: https://%s:6443\ntoken: %s\n", s.Address, token)
}

// serverToken is the one that the first server makes at its first start.
func (s *server) serverToken(t *testing.T) string {
	return s.run(t, "cat "+dataDir+"/server/token")
}

// etcdMember is a line of kelp etcd members.
type etcdMember struct {
	Name                       string
	Learner, Leader, Reachable bool
	Behind                     int
	Problem                    string
}

func (s *server) etcdMembers(ctx context.Context) (list []etcdMember, err error) {
	out, err := s.Run(ctx, hosts.KelpPath, "etcd", "members", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &list)
	}
	return list, err
}

// awaitVoters waits until etcd has that many voters and learners, all well.
func (s *server) awaitVoters(t *testing.T, limit time.Duration, voters, learners int) {
	t.Helper()
	hosts.Eventually(t, limit, fmt.Sprintf("%d voters and %d learners", voters, learners), func(ctx context.Context) error {
		list, err := s.etcdMembers(ctx)
		if err != nil {
			return err
		}
		v, l := 0, 0
		for _, m := range list {
			switch {
			case !m.Reachable:
				return fmt.Errorf("%s: %s", m.Name, m.Problem)
			case m.Learner:
				l++
			default:
				v++
			}
		}
		if v != voters || l != learners {
			return fmt.Errorf("there are %d voters and %d learners", v, l)
		}
		return nil
	})
}

// ledger writes one ConfigMap after the other, and each twice, and notes what
// the API has acknowledged. It goes on when the API is away.
type ledger struct {
	client kubernetes.Interface
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	acked map[string]string // name → resourceVersion
	last  time.Time         // of the newest acknowledged write
	gap   time.Duration     // the longest time between two
}

func startLedger(t *testing.T, client kubernetes.Interface) *ledger {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &ledger{client: client, cancel: cancel, acked: map[string]string{}, last: time.Now()}
	l.done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			l.write(ctx, fmt.Sprintf("entry-%06d", i))
		}
	})
	t.Cleanup(l.stop)
	return l
}

func (l *ledger) stop() {
	l.cancel()
	l.done.Wait()
}

// write writes an entry, and tries again until ctx ends or it is acknowledged.
func (l *ledger) write(ctx context.Context, name string) {
	made := false
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		<-pace.C
		one, cancel := context.WithTimeout(ctx, 2*time.Second)
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"value": "1"}}
		var err error
		if !made {
			_, err = l.client.CoreV1().ConfigMaps("default").Create(one, m, metav1.CreateOptions{})
			made = err == nil || strings.Contains(err.Error(), "already exists")
		} else {
			m.Data["value"] = "2"
			if m, err = l.client.CoreV1().ConfigMaps("default").Update(one, m, metav1.UpdateOptions{}); err == nil {
				l.note(name, m.ResourceVersion)
				cancel()
				return
			}
		}
		cancel()
	}
}

func (l *ledger) note(name, version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[name] = version
	l.gap = max(l.gap, time.Since(l.last))
	l.last = time.Now()
}

// pause returns the longest time between two writes since the last call.
func (l *ledger) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	gap := max(l.gap, time.Since(l.last))
	l.gap = 0
	return gap
}

// await waits until a write is acknowledged that began after the call.
func (l *ledger) await(t *testing.T, limit time.Duration) {
	t.Helper()
	l.mu.Lock()
	before := len(l.acked)
	l.mu.Unlock()
	hosts.Eventually(t, limit, "writes are acknowledged", func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.acked) < before+2 {
			return errors.New("none is")
		}
		return nil
	})
}

// check finds what was acknowledged and is lost, or older than it was.
func (l *ledger) check(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	l.mu.Lock()
	acked := maps.Clone(l.acked) // before the list: it has them all
	l.mu.Unlock()
	list, err := client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]corev1.ConfigMap{}
	for _, m := range list.Items {
		have[m.Name] = m
	}
	lost := 0
	for name, version := range acked {
		if m := have[name]; m.Data["value"] != "2" || m.ResourceVersion != version {
			lost++
			t.Logf("%s was acknowledged as %s and is %q at %s", name, version, m.Data["value"], m.ResourceVersion)
		}
	}
	t.Logf("%d acknowledged writes", len(acked))
	if lost > 0 {
		t.Fatalf("%d of %d acknowledged writes are lost", lost, len(acked))
	}
}

// through is a client whose requests go through an agent's balancer.
func (s *server) through(t *testing.T, agent *server) kubernetes.Interface {
	t.Helper()
	cfg := rest.CopyConfig(s.restConfig(t))
	cfg.Host, cfg.Dial = "https://127.0.0.1:6444", agent.Dial
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// From one server on SQLite to three on etcd and an agent, while somebody
// writes all the time; then the servers fail, one and two at a time.
func TestThreeServers(t *testing.T) {
	one := ownServer(t, specNamed("one"), "")
	one.start(t)
	leaf := ownHost(t, specNamed("ha-leaf"), "agent", agentConfig(one, one.agentToken(t)))
	leaf.start(t)
	one.awaitNode(t, "ha-leaf", joined)
	l := startLedger(t, one.through(t, leaf))
	l.await(t, soon)

	two := ownHost(t, specNamed("two"), "server", serverConfig(one, one.serverToken(t)))
	three := ownHost(t, specNamed("three"), "server", serverConfig(one, one.serverToken(t)))
	l.pause()
	t.Logf("the second server was ready after %s", two.start(t).Round(10*time.Millisecond))
	t.Logf("the longest pause of writes, the move to etcd in it, was %s", l.pause().Round(10*time.Millisecond))
	one.awaitVoters(t, soon, 1, 1)
	t.Logf("the third server was ready after %s", three.start(t).Round(10*time.Millisecond))
	one.awaitVoters(t, 2*soon, 3, 0)
	t.Logf("the longest pause of writes, the promotion in it, was %s", l.pause().Round(10*time.Millisecond))
	l.await(t, soon)
	l.check(t, one.client(t))
	for _, name := range []string{"two", "three"} {
		if node := one.awaitNode(t, name, joined); node.Labels["node-role.kubernetes.io/control-plane"] != "true" {
			t.Errorf("%s is not labelled as a server: %v", name, node.Labels)
		}
	}

	c := &trio{servers: map[string]*server{"one": one, "two": two, "three": three}, leaf: leaf, ledger: l}
	for _, fault := range []struct {
		name string
		test func(*testing.T)
	}{
		{"the leader is killed", c.leaderIsKilled},
		{"a server is cut off", c.serverIsCutOff},
		{"the majority is away", c.majorityIsAway},
		{"the first server is replaced", c.firstIsReplaced},
		{"a removed server stays out", c.removedStaysOut},
		{"all start again", c.allStartAgain},
	} {
		if !t.Run(fault.name, fault.test) {
			return // what comes after stands on it
		}
	}
}

// trio is what the faults are tried on.
type trio struct {
	servers map[string]*server
	leaf    *server
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

func (c *trio) leaderIsKilled(t *testing.T) {
	leader := c.leader(t)
	c.ledger.await(t, soon)
	c.ledger.pause()
	if err := leader.Kill9(t.Context(), "kelp"); err != nil {
		t.Fatal(err)
	}
	c.ledger.await(t, 3*soon)
	t.Logf("with %s killed, writes paused for %s", leader.Name, c.ledger.pause().Round(10*time.Millisecond))
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
		if err := lab.lab.Heal(t.Context(), s.Host); err != nil {
			t.Fatal(err)
		}
		s.awaitVoters(t, 3*soon, 3, 0)
	}
	if diff := cmp.Diff(before, c.pids(t)); diff != "" {
		t.Errorf("processes ended: %s", diff)
	}
}

// stall is longer than any lease of Kubernetes'.
const stall = 35 * time.Second

func (c *trio) majorityIsAway(t *testing.T) {
	before, leader := c.pids(t), c.leader(t)
	second := c.other(leader)
	c.ledger.await(t, soon)
	for _, s := range []*server{leader, second} {
		if err := lab.lab.Cut(t.Context(), s.Host); err != nil {
			t.Fatal(err)
		}
	}
	cut := time.Now()
	hosts.Eventually(t, 2*stall, "the servers have been apart for long enough", func(context.Context) error {
		if time.Since(cut) < stall {
			return errors.New("not yet")
		}
		return nil
	})
	for _, s := range []*server{leader, second} {
		if err := lab.lab.Heal(t.Context(), s.Host); err != nil {
			t.Fatal(err)
		}
	}
	healed := time.Now()
	c.ledger.await(t, 4*soon)
	t.Logf("writes are acknowledged %s after the servers were together again", time.Since(healed).Round(10*time.Millisecond))
	leader.awaitVoters(t, 3*soon, 3, 0)
	if diff := cmp.Diff(before, c.pids(t)); diff != "" {
		t.Errorf("processes ended: %s", diff)
	}
	// What must run once runs again.
	namespace := leader.namespace(t, "after-the-stall")
	leader.apply(t, fmt.Sprintf(pinned, "ha-leaf", namespace))
	leader.awaitPod(t, namespace, "host=ha-leaf", podUp)
	c.ledger.check(t, leader.client(t))
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
	c.leaf.stopKelp(t)
	c.leaf.start(t)
	two.awaitNode(t, "ha-leaf", joined)
	c.ledger.check(t, two.client(t))

	two.kubectl(t, "delete", "node", "one", "--wait=false")
	two.awaitVoters(t, 3*soon, 2, 0)
	again := ownHost(t, specNamed("first"), "server", serverConfig(two, two.serverToken(t))+"node: {name: one}\n")
	again.start(t)
	c.servers["one"] = again
	again.awaitVoters(t, 3*soon, 3, 0)
	c.ledger.check(t, again.client(t))
}

func (c *trio) removedStaysOut(t *testing.T) {
	three, two := c.servers["three"], c.servers["two"]
	two.kubectl(t, "delete", "node", "three", "--wait=false")
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
	three.run(t, "systemctl reset-failed kelp; "+hosts.KelpPath+" killall >/dev/null 2>&1; mv "+dataDir+"/server "+dataDir+"/server.old; mv "+dataDir+"/agent "+dataDir+"/agent.old")
	three.start(t)
	three.awaitVoters(t, 3*soon, 3, 0)
}

func (c *trio) allStartAgain(t *testing.T) {
	for _, s := range c.servers {
		s.stopKelp(t)
	}
	for _, s := range c.servers {
		s.run(t, "systemctl start --no-block kelp")
	}
	for name := range c.servers {
		c.servers["two"].awaitNode(t, name, ready)
	}
	c.servers["two"].awaitVoters(t, 2*soon, 3, 0)
	c.ledger.check(t, c.servers["two"].client(t))
}

// Two servers join at the same moment, when the first one still has SQLite, and
// are killed again and again on the way. In the end there are three voters, and
// nothing that was written before is lost.
func TestServersThatAreKilledWhileTheyJoin(t *testing.T) {
	one := ownServer(t, specNamed("k-one"), "")
	one.start(t)
	l := startLedger(t, one.client(t))
	l.await(t, soon)
	var joining []*server
	for _, name := range []string{"k-two", "k-three"} {
		joining = append(joining, ownHost(t, specNamed(name), "server", serverConfig(one, one.serverToken(t))))
	}
	// From the first request on to where a server is nearly ready.
	for _, after := range []time.Duration{100, 700, 1800, 3000, 4500, 6000} {
		for _, s := range joining {
			s.run(t, "systemctl reset-failed kelp 2>/dev/null || true; systemctl start --no-block kelp")
		}
		began := time.Now()
		hosts.Eventually(t, ready, "it is time to kill", func(context.Context) error {
			if time.Since(began) < after*time.Millisecond {
				return errors.New("not yet")
			}
			return nil
		})
		for _, s := range joining {
			s.run(t, "systemctl kill --signal=KILL kelp || true")
			hosts.Eventually(t, soon, "kelp has ended", func(ctx context.Context) error {
				r, err := s.Exec(ctx, "", "systemctl", "is-active", "kelp")
				if err == nil && strings.TrimSpace(r.Stdout) != "failed" {
					return errors.New(r.Stdout)
				}
				return err
			})
		}
	}
	for _, s := range joining {
		s.run(t, "systemctl reset-failed kelp || true; systemctl start --no-block kelp")
	}
	for _, s := range joining {
		one.awaitNode(t, s.Name, ready)
	}
	one.awaitVoters(t, 3*soon, 3, 0)
	l.await(t, soon)
	l.check(t, one.client(t))
}
