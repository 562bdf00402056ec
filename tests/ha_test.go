//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

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
	list, err := client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]corev1.ConfigMap{}
	for _, m := range list.Items {
		have[m.Name] = m
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := 0
	for name, version := range l.acked {
		if m := have[name]; m.Data["value"] != "2" || m.ResourceVersion != version {
			lost++
			t.Logf("%s was acknowledged as %s and is %q at %s", name, version, m.Data["value"], m.ResourceVersion)
		}
	}
	t.Logf("%d acknowledged writes", len(l.acked))
	if lost > 0 {
		t.Fatalf("%d of %d acknowledged writes are lost", lost, len(l.acked))
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
}
