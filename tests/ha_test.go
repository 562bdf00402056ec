//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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

// From one server on SQLite to three on etcd and an agent, while somebody
// writes all the time; then the servers fail, one and two at a time.
func TestThreeServers(t *testing.T) {
	lb := bootFrontend(t)
	sans := fmt.Sprintf("api: {tlsSANs: [%s]}\n", lb.Address)
	one := ownServer(t, specNamed("one"), sans)
	one.start(t)
	two := ownHost(t, specNamed("two"), "server", serverConfig(one, one.serverToken(t))+sans)
	three := ownHost(t, specNamed("three"), "server", serverConfig(one, one.serverToken(t))+sans)
	balance(t, lb, one, two, three)
	leaf := ownHost(t, specNamed("ha-leaf"), "agent", fmt.Sprintf("server: https://%s:6443\ntoken: %s\n", lb.Address, one.agentToken(t)))
	leaf.start(t)
	one.awaitNode(t, "ha-leaf", joined)
	if r, err := one.Exec(t.Context(), "", hosts.KelpPath, "server", "leave"); err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "only server") {
		t.Errorf("the only server may leave: status %d, %v: %s", r.Code, err, r.Stderr)
	}
	l := startLedger(t, one.through(t, leaf))
	l.await(t, soon)

	l.pause()
	t.Logf("the second server was ready after %s", two.start(t).Round(10*time.Millisecond))
	t.Logf("the longest pause of writes, the move to etcd in it, was %s", l.pause().Round(10*time.Millisecond))
	one.awaitVoters(t, soon, 1, 1)
	one.awaitReason(t, "before-move")
	t.Logf("the third server was ready after %s", three.start(t).Round(10*time.Millisecond))
	one.awaitVoters(t, 2*soon, 3, 0)
	t.Logf("the longest pause of writes, the promotion in it, was %s", l.pause().Round(10*time.Millisecond))
	l.await(t, soon)
	l.check(t, one.client(t))
	for _, name := range []string{"two", "three"} {
		if role, has := one.awaitNode(t, name, joined).Labels["node-role.kubernetes.io/control-plane"]; !has || role != "" {
			t.Errorf("%s is not labelled as a server: %q", name, role)
		}
	}

	throughFrontend(t, one, lb)
	hosts.Eventually(t, soon, "kelp status shows the whole cluster", func(ctx context.Context) error {
		out, err := three.Run(ctx, hosts.KelpPath, "status")
		if err == nil && (!strings.Contains(out, "servers: 3, agents: 1, all ready") || !strings.Contains(out, "etcd: 3 voters, one leads") || !strings.Contains(out, "one runs what runs once")) {
			err = errors.New(out)
		}
		return err
	})

	c := &trio{t: t, servers: map[string]*server{"one": one, "two": two, "three": three}, leaf: leaf, lb: lb, sans: sans, ledger: l}
	for _, fault := range []struct {
		name string
		test func(*testing.T)
	}{
		{"the leader is killed", c.leaderIsKilled},
		{"a server is cut off", c.serverIsCutOff},
		{"a server is cut off one way", c.serverIsCutOffOneWay},
		{"a token is rotated", c.tokenIsRotated},
		{"the key of secrets is rotated", c.keysAreRotated},
		{"the authorities have successors", c.authoritiesHaveSuccessors},
		{"the data of one is damaged", c.dataIsDamaged},
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

// Two servers join at the same moment, when the first one still has SQLite, and
// are killed again and again on the way. In the end there are three voters, and
// nothing that was written before is lost.
func TestServersThatAreKilledWhileTheyJoin(t *testing.T) {
	t.Parallel()
	one := ownServer(t, specNamed("k-one"), "datastore: {voterGrace: 10s}\n")
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

	l.stop() // it goes by the one that is lost now
	t.Run("a fourth stands by", func(t *testing.T) { standBy(t, joining[0], one) })
	joining[0].kubectl(t, "create", "configmap", "afterwards")
	l.check(t, joining[0].client(t))
}

// standBy has a fourth server join, by the address of one that joined itself. It
// takes the place of a voter that is gone for longer than the grace: of the server
// that began the cluster, whose configuration names no other.
func standBy(t *testing.T, one, gone *server) {
	four := ownHost(t, specNamed("k-four"), "server", serverConfig(one, one.serverToken(t)))
	four.start(t)
	one.awaitVoters(t, 2*soon, 3, 1)
	if err := gone.Kill9(t.Context(), "kelp"); err != nil {
		t.Fatal(err)
	}
	one.awaitVoters(t, 6*soon, 3, 0)
	list, err := one.etcdMembers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Name == gone.Name {
			t.Errorf("%s is a member still", m.Name)
		}
	}
	// The one that was replaced stays out, and says so.
	r, err := gone.Exec(t.Context(), "", "timeout", "60", hosts.KelpPath, "server")
	if err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "stays out") {
		t.Errorf("status %d, %v: %s", r.Code, err, r.Stderr)
	}
}
