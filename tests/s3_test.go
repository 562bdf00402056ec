//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

const (
	s3Access = "the-access-key"
	s3Secret = "a-secret-key-that-is-in-no-log"
)

// bootStore boots a host with an S3 server, with TLS.
func bootStore(t *testing.T) *server {
	t.Helper()
	program := buildProgram(t, "../scripts/modules/versitygw", "versitygw", "github.com/versity/versitygw/cmd/versitygw")
	h, err := lab.lab.Boot(t.Context(), hosts.Spec{Name: "s3-store", Bind: map[string]string{"/usr/local/bin/versitygw": program}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Host: h}
	t.Cleanup(func() {
		if err := h.Stop(contextOf(t)); err != nil {
			t.Error(err)
		}
	})
	s.run(t, "ADDRESS="+s.Address+certify+"mkdir -p /var/tmp/store/backups /var/tmp/meta")
	s.run(t, fmt.Sprintf("systemd-run -q --unit=s3 --property=Restart=on-failure -E ROOT_ACCESS_KEY=%s -E ROOT_SECRET_KEY=%s /usr/local/bin/versitygw --port=%s:7070 --cert=/etc/db/db.crt --key=/etc/db/db.key posix --sidecar=/var/tmp/meta /var/tmp/store",
		s3Access, s3Secret, s.Address))
	hosts.Eventually(t, soon, "the store answers", func(ctx context.Context) error {
		_, err := s.Run(ctx, "curl", "-sk", "https://"+s.Address+":7070/")
		if err != nil {
			log, _ := s.Run(ctx, "journalctl", "--unit=s3", "--lines=5", "--no-pager", "--output=cat")
			return fmt.Errorf("%w: %s", err, log)
		}
		return nil
	})
	return s
}

// awaitCopies waits until the store has that many snapshots.
func awaitCopies(t *testing.T, store *server, n int) {
	t.Helper()
	hosts.Eventually(t, 2*time.Minute, fmt.Sprintf("%d copies in the store", n), func(ctx context.Context) error {
		out, err := store.Shell(ctx, "ls /var/tmp/store/backups/clusters/one | grep -c 'zst$' || true")
		if err == nil && strings.TrimSpace(out) != fmt.Sprint(n) {
			return errors.New("there are " + strings.TrimSpace(out))
		}
		return err
	})
}

// Snapshots are copied to an object store. One that lets nobody in, or hangs, has
// nobody wait; and a new machine restores from it.
func TestSnapshotsInS3(t *testing.T) {
	t.Parallel()
	store := bootStore(t)
	config := fmt.Sprintf("s3: {bucket: backups, folder: clusters/one, endpoint: '%s:7070', authFrom: s3, caFile: /etc/kelp/s3-ca.crt, timeout: 5s}\n", store.Address)
	s := ownServer(t, specNamed("s3-one"), config)
	authority := store.run(t, "cat /etc/db/ca.crt")
	s.write(t, "/etc/kelp/s3-ca.crt", authority+"\n")
	s.start(t)
	s.kubectl(t, "create", "configmap", "kept")
	file := s.saveSnapshot(t, "one")

	s.awaitProblem(t, "snapshot-upload", `secrets "s3" not found`)
	hosts.Eventually(t, soon, "an event tells of it", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "events", "--field-selector=reason=SnapshotNotCopied", "-o", "name")
		if err == nil && out == "" {
			err = errors.New("there is none")
		}
		return err
	})
	s.kubectl(t, "-n", "kube-system", "create", "secret", "generic", "s3", "--from-literal=accessKey="+s3Access, "--from-literal=secretKey=wrong")
	s.awaitProblem(t, "snapshot-upload", "signature")
	s.kubectl(t, "-n", "kube-system", "patch", "secret", "s3", "-p", `{"stringData":{"secretKey":"`+s3Secret+`"}}`)
	awaitCopies(t, store, 1)
	if list := s.run(t, hosts.KelpPath+" snapshot list --s3"); !strings.Contains(list, "s3://backups/clusters/one/"+filepath.Base(file)) {
		t.Errorf("the copies are listed as %q", list)
	}

	store.run(t, "systemctl kill --signal=STOP s3")
	began := time.Now()
	second := s.saveSnapshot(t, "two")
	s.kubectl(t, "create", "configmap", "meanwhile")
	if took := time.Since(began); took > soon {
		t.Errorf("with a store that hangs, a snapshot and a write took %s", took)
	}
	s.awaitProblem(t, "snapshot-upload", "copy snapshot to s3://backups/clusters/one")
	store.run(t, "systemctl kill --signal=CONT s3")
	awaitCopies(t, store, 2)

	s.run(t, hosts.KelpPath+" snapshot delete "+filepath.Base(second))
	s.run(t, hosts.KelpPath+" snapshot download "+filepath.Base(second)+" && "+hosts.KelpPath+" snapshot verify "+filepath.Base(second))
	s.refuses(t, "does not exist", "snapshot", "download", "nothing.snapshot.zst")
	store.run(t, "rm /var/tmp/store/backups/clusters/one/"+filepath.Base(second)+"*")
	s.run(t, hosts.KelpPath+" snapshot upload "+filepath.Base(second))
	awaitCopies(t, store, 2)
	if out := s.run(t, "journalctl --unit=kelp --no-pager --output=cat"); strings.Contains(out, s3Secret) {
		t.Error("the secret key is in the log")
	}

	other := ownServer(t, specNamed("s3-two"), strings.Replace(config, "authFrom: s3", "credentialsFile: /etc/kelp/s3", 1))
	other.write(t, "/etc/kelp/s3-ca.crt", authority+"\n")
	other.write(t, "/etc/kelp/s3", "[default]\naws_access_key_id = "+s3Access+"\naws_secret_access_key = "+s3Secret+"\n")
	other.write(t, "/root/token", s.serverToken(t)+"\n")
	other.follow(t, "backup.md", "s3", map[string]string{"SNAPSHOT": filepath.Base(file)})
	if !other.hasConfigMap(t, "kept") || other.hasConfigMap(t, "meanwhile") {
		t.Error("the datastore is not what the snapshot holds")
	}
}

// awaitProblem waits until a component says in kelp status what is wrong.
func (s *server) awaitProblem(t *testing.T, component, text string) {
	t.Helper()
	hosts.Eventually(t, 2*time.Minute, component+" says "+text, func(ctx context.Context) error {
		r, err := s.Exec(ctx, "", hosts.KelpPath, "status")
		if err != nil {
			return err
		}
		for line := range strings.Lines(r.Stdout) {
			if strings.HasPrefix(line, component+" ") && strings.Contains(line, text) {
				return nil
			}
		}
		return errors.New(r.Stdout)
	})
}
