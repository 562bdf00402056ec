//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/tests/hosts"
)

// hidden is the text of a Secret that no file may hold.
const hidden = "a-word-that-nobody-may-read"

// keysStatus is what kelp secrets-encrypt status tells.
type keysStatus struct {
	Stage, Write, Problem string
	Keys                  []struct {
		Name    string
		Secrets int
	}
	Plain, Foreign int
	Servers        map[string]bool
}

func (s *server) keys(ctx context.Context) (st keysStatus, err error) {
	out, err := s.Run(ctx, hosts.KelpPath, "secrets-encrypt", "status", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	return st, err
}

// awaitKeys waits until all Secrets are encrypted with the key in use, which is
// another one than before, and all servers have loaded it.
func (s *server) awaitKeys(t *testing.T, before string, servers int) (st keysStatus) {
	t.Helper()
	hosts.Eventually(t, 2*soon, "all Secrets are encrypted with another key than "+before, func(ctx context.Context) (err error) {
		if st, err = s.keys(ctx); err != nil {
			return err
		}
		n := 0
		for _, loaded := range st.Servers {
			if loaded {
				n++
			}
		}
		if st.Stage != "settled" || st.Write == before || st.Plain+st.Foreign > 0 || n != servers {
			return fmt.Errorf("%+v", st)
		}
		for _, k := range st.Keys {
			if k.Name != st.Write && k.Secrets > 0 {
				return fmt.Errorf("%+v", st)
			}
		}
		return nil
	})
	return st
}

// readsHidden fails the test unless the API has the Secret's text.
func (s *server) readsHidden(t *testing.T) {
	t.Helper()
	if got := s.kubectl(t, "get", "secret", "hidden", "-o", "go-template={{.data.word|base64decode}}"); got != hidden {
		t.Errorf("the Secret reads %q", got)
	}
}

// Secrets are encrypted in the datastore and in snapshots; a rotation of their key
// survives a kill, and a snapshot from before it is restored.
func TestSecretsAreEncrypted(t *testing.T) {
	s := ownServer(t, specNamed("crypt"), "components: {disableAgent: true}\n")
	s.start(t)
	s.kubectl(t, "create", "secret", "generic", "hidden", "--from-literal=word="+hidden)
	first := s.awaitKeys(t, "", 1)
	file := s.saveSnapshot(t, "before")
	s.run(t, "zstd -dq "+file+" -o /root/plain")
	s.run(t, "! grep -raF "+hidden+" "+dataDir+" /run/kelp /root/plain")
	if out := s.run(t, "stat -c %a /run/kelp/encryption.yaml"); out != "600" {
		t.Errorf("mode %s", out)
	}
	if r, err := s.Exec(t.Context(), "", "setpriv", "--reuid=65534", "--clear-groups", hosts.KelpPath, "secrets-encrypt", "status"); err != nil || r.Code == 0 || strings.Contains(r.Stdout, first.Write) {
		t.Errorf("a user saw %d, %v: %s", r.Code, err, r.Stdout)
	}

	for i := range 300 {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s%d", i)}, StringData: map[string]string{"n": fmt.Sprint(i)}}
		if _, err := s.client(t).CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.run(t, hosts.KelpPath+" secrets-encrypt rotate --no-wait")
	hosts.Eventually(t, soon, "some Secrets are written anew", func(ctx context.Context) error {
		st, err := s.keys(ctx)
		if err == nil && (len(st.Keys) != 2 || st.Keys[0].Secrets == 0) {
			err = errors.New("none is")
		}
		return err
	})
	if err := s.Kill9(t.Context(), "kelp"); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	second := s.awaitKeys(t, first.Write, 1)
	s.readsHidden(t)
	if n := second.Keys[0].Secrets; n < 301 {
		t.Errorf("%d Secrets are encrypted", n)
	}

	s.stopKelp(t)
	s.run(t, hosts.KelpPath+" snapshot restore "+file)
	s.start(t)
	s.readsHidden(t)
	if st := s.awaitKeys(t, second.Write, 1); st.Write != first.Write {
		t.Errorf("after the restore Secrets are encrypted with key %s; the snapshot's is %s", st.Write, first.Write)
	}
	if out := s.run(t, hosts.KelpPath+" secrets-encrypt disable"); !strings.Contains(out, "Secrets are not encrypted") {
		t.Errorf("disable printed %q", out)
	}
	s.refuses(t, "there is no key to rotate", "secrets-encrypt", "rotate")
	s.run(t, hosts.KelpPath+" secrets-encrypt enable")
	s.awaitKeys(t, first.Write, 1)
	s.readsHidden(t)
}

// keysAreRotated rotates the key of Secrets while a server is down, which reads
// them when it is back.
func (c *trio) keysAreRotated(t *testing.T) {
	leader := c.leader(t)
	down := c.other(leader)
	leader.kubectl(t, "create", "secret", "generic", "hidden", "--from-literal=word="+hidden)
	before := leader.awaitKeys(t, "", 3)
	down.stopKelp(t)
	if out := leader.run(t, hosts.KelpPath+" secrets-encrypt rotate"); !strings.Contains(out, "are encrypted with key") {
		t.Errorf("rotate printed %q", out)
	}
	down.start(t)
	down.awaitKeys(t, before.Write, 3)
	for _, s := range c.servers {
		s.readsHidden(t)
		s.run(t, "! grep -raF "+hidden+" "+dataDir+"/server")
	}
	c.ledger.check(t, leader.client(t))
}
