//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
