//go:build e2e

package tests

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/tests/hosts"
)

// kill -9 in the middle of writes, five times: every write that the API has
// acknowledged is there after the next start.
func TestKillLosesNoAcknowledgedWrite(t *testing.T) {
	for _, kind := range []string{"sqlite", "etcd"} {
		t.Run(kind, func(t *testing.T) {
			s := ownServer(t, specNamed("kill-"+kind), "datastore: {kind: "+kind+"}\n")
			s.start(t)
			s.kubectl(t, "create", "namespace", "writes")
			for round := range 5 {
				killUnderWrites(t, s, round)
			}
		})
	}
}

func killUnderWrites(t *testing.T, s *server, round int) {
	t.Helper()
	moment := int64(1 + rand.IntN(400)) // acknowledged writes before the kill
	w := startWriters(t, s.client(t), round)
	hosts.Eventually(t, ready, "writes are acknowledged", func(context.Context) error {
		if n := w.count.Load(); n < moment {
			return fmt.Errorf("%d of %d", n, moment)
		}
		return nil
	})
	if err := s.Kill9(t.Context(), "kelp"); err != nil {
		t.Fatal(err)
	}
	acknowledged := w.stop()
	s.run(t, "systemctl reset-failed kelp")
	took := s.start(t)
	t.Logf("round %d: killed after %d writes, started in %s", round, len(acknowledged), took.Round(time.Millisecond))

	list, err := s.client(t).CoreV1().ConfigMaps("writes").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("list what was written: %v", err)
	}
	have := map[string]string{}
	for i := range list.Items {
		have[list.Items[i].Name] = list.Items[i].Data["value"]
	}
	lost := 0
	for name, value := range acknowledged {
		if have[name] < value { // the write after the last acknowledged one may have happened
			lost++
		}
	}
	if lost > 0 {
		t.Fatalf("round %d: %d of %d acknowledged writes are lost", round, lost, len(acknowledged))
	}
}

// writers create ConfigMaps and update each once, and note what the API has
// acknowledged.
type writers struct {
	count  atomic.Int64
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	acked  map[string]string
}

func startWriters(t *testing.T, client kubernetes.Interface, round int) *writers {
	ctx, cancel := context.WithCancel(t.Context())
	w := &writers{cancel: cancel, acked: map[string]string{}}
	for n := range 4 {
		w.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := w.write(ctx, client, fmt.Sprintf("w-%d-%d-%d", round, n, i)); err != nil {
					return // killed: what was acknowledged is noted
				}
			}
		})
	}
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *writers) write(ctx context.Context, client kubernetes.Interface, name string) error {
	maps := client.CoreV1().ConfigMaps("writes")
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"value": "1"}}
	created, err := maps.Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	w.note(name, "1")
	created.Data["value"] = "2"
	if _, err := maps.Update(ctx, created, metav1.UpdateOptions{}); err != nil {
		return err
	}
	w.note(name, "2")
	return nil
}

func (w *writers) note(name, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked[name] = value
	w.count.Add(1)
}

func (w *writers) stop() map[string]string {
	w.cancel()
	w.wg.Wait()
	return w.acked
}
