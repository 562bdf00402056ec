//go:build e2e

package tests

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/tests/hosts"
)

const tlsDir = dataDir + "/server/tls/"

// keyPair is a certificate of the server's, with its key.
func (s *server) keyPair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	p, err := tls.X509KeyPair([]byte(s.run(t, "cat "+tlsDir+name+".crt")), []byte(s.run(t, "cat "+tlsDir+name+".key")))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// reissue has an authority's or a client's certificate be valid in another time, from
// and until now and so much.
func (s *server) reissue(t *testing.T, name string, from, until time.Duration) {
	t.Helper()
	old := s.keyPair(t, name)
	authority := old
	if !old.Leaf.IsCA {
		authority = s.keyPair(t, "client-ca")
	}
	c := *old.Leaf
	c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until)
	der, err := x509.CreateCertificate(rand.Reader, &c, authority.Leaf, c.PublicKey, authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, tlsDir+name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.run(t, "chmod 600 "+tlsDir+name+".crt")
}

// certificatesFail has an authority that ends, and one that has ended; a certificate
// that has, one from the future, which is what a clock that is behind makes of a good
// one, one that is damaged, and one with another's key. What the doctor says helps
// against each, with kelp down.
func (s *server) certificatesFail(t *testing.T) {
	s.run(t, "cd "+tlsDir+"; cp -p client-ca.crt client-ca.kept")
	s.reissue(t, "client-ca", -time.Hour, 100*24*time.Hour-time.Hour)
	s.awaitDiagnosis(t, soon, "warning", "certificates: the authority client-ca ends in 99 days", "authorities are not renewed by themselves", "kelp certificate rotate-ca")
	s.reissue(t, "client-ca", -100*time.Hour, -50*time.Hour)
	s.awaitDiagnosis(t, soon, "problem", "certificates: the authority client-ca has ended, 3 days ago", "kelp certificate rotate-ca")
	s.run(t, "cd "+tlsDir+"; cp -p client-ca.kept client-ca.crt")
	s.reissue(t, "controller-manager", -100*time.Hour, -50*time.Hour)
	s.reissue(t, "admin", time.Hour, 100*24*time.Hour)
	s.run(t, "cd "+tlsDir+"; truncate -s 100 apiserver.crt; cp scheduler.key kelp.key; truncate -s 100 client-ca.crt")
	s.awaitDiagnoses(t, soon, "problem",
		[]string{"certificates: authority client-ca: ", "client-ca.crt: there is no certificate in it; restore it from a backup"},
		[]string{"certificates: controller-manager has ended, 3 days ago", "it does not run", "kelp certificate rotate controller-manager"},
		[]string{"certificates: admin is valid from ", "the clock of this machine is behind", "timedatectl"},
		[]string{"certificates: apiserver is damaged", "apiserver.crt: there is no certificate in it", "kelp certificate rotate apiserver"},
		[]string{"certificates: kelp is damaged", "kelp.key is not the key of ", "kelp certificate rotate kelp"})
	s.run(t, "mv "+tlsDir+"client-ca.kept "+tlsDir+"client-ca.crt; "+hosts.KelpPath+" certificate rotate controller-manager admin apiserver kelp scheduler")
	s.awaitDiagnosis(t, soon, "good", "certificates: the first one that ends is ")
}

// A kelp that hangs answers nobody, and nor does its API.
func TestDoctorOfAKelpThatHangs(t *testing.T) {
	s := cluster(t)
	s.run(t, "systemctl kill --signal=STOP --kill-whom=main kelp")
	defer s.run(t, "systemctl kill --signal=CONT --kill-whom=main kelp")
	d := s.awaitDiagnoses(t, 2*soon, "problem",
		[]string{"kelp: it does not say how it is: ", "the unit runs, and nobody answers on the status socket", "systemctl restart kelp"},
		[]string{"api: it does not answer", "kelp runs, and does not say how it is", "see kelp, above"})
	if !d.says("unknown", "datastore: it is a part of kelp, which runs, and does not say how it is") {
		t.Errorf("of the datastore it says %+v", d)
	}
	s.run(t, "systemctl restart kelp")
	s.awaitNoProblem(t, ready, "api")
}

// Kubelets that are too old are told of, by what their nodes say of them.
func TestDoctorOfAnOldKubelet(t *testing.T) {
	s := cluster(t)
	s.apply(t, "{apiVersion: v1, kind: Node, metadata: {name: older}}")
	defer s.kubectl(t, "delete", "node", "older")
	s.kubectl(t, "patch", "node", "older", "--subresource=status", "--type=merge", "--patch", `{"status": {"nodeInfo": {"kubeletVersion": "v1.33.1"}}}`)
	s.awaitDiagnoses(t, soon, "problem",
		[]string{"nodes: older has v1.33.1, which is too old for ", "a kubelet may be three minor versions behind", "upgrade older"},
		[]string{"nodes: older is not ready", "on older: kelp doctor"})
}

// keepAll has a kubelet keep more free than there is. Process numbers are counted, for
// those that are taken are less than a share of them can say.
const keepAll = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
evictionHard: {memory.available: "99%", nodefs.available: "99%", pid.available: "999999999"}
`

// A node is short of what its kubelet is to keep free. Its database is large, and its
// snapshots are old: the machine was off for days.
func TestDoctorOfPressure(t *testing.T) {
	s := ownServer(t, specNamed("pressed"), "")
	const file = "/etc/kelp/kubelet.conf.d/10-keep-all.conf"
	s.run(t, "mkdir -p /etc/kelp/kubelet.conf.d")
	s.write(t, file, keepAll)
	s.start(t)
	s.awaitDiagnoses(t, 2*soon, "problem",
		[]string{"nodes: pressed is short of memory: pods are evicted from it, and it takes no others", "kelp kubectl top pods"},
		[]string{"nodes: pressed is short of room on its disk", "df -h"},
		[]string{"nodes: pressed is short of process numbers", "ps -eLf"})
	description := s.saveSnapshot(t, "old") + ".json"
	s.run(t, "rm "+file+`; systemctl stop kelp; sed -i 's/"created": *"[^"]*"/"created":"'$(date -u -d '3 days ago' +%FT%TZ)'"/' `+description)
	s.start(t)
	s.awaitNoProblem(t, ready, "nodes")
	s.awaitDiagnosis(t, soon, "warning", "snapshots: the newest good one is 3d", "kelp snapshot save")
	s.saveSnapshot(t, "new")
	s.awaitNoProblem(t, soon, "snapshots")

	const database = dataDir + "/server/db/sqlite/state.db"
	hosts.Eventually(t, soon, "the doctor says that the database is large", func(ctx context.Context) error {
		// SQLite gives back what it does not use, now and then.
		if _, err := s.Shell(ctx, "truncate -s 3G "+database); err != nil {
			return err
		}
		d, _, err := s.doctor(ctx)
		if err == nil && !d.says("warning", "datastore: the database has 3072 MB", "many, large, or often changed objects", "apiserver_resource_objects") {
			err = fmt.Errorf("it says %+v", d.Answers)
		}
		return err
	})
}

// ownDisk mounts a new disk of the host's own, and returns its number, MAJOR:MINOR.
func (s *server) ownDisk(t *testing.T, dir, size string) string {
	t.Helper()
	return s.run(t, fmt.Sprintf(`test -e /dev/loop-control || mknod /dev/loop-control c 10 237
for i in $(seq 0 63); do test -e /dev/loop$i || mknod /dev/loop$i b 7 $i; done
truncate -s %[2]s /var/lib/kubelet/disk
mkfs.ext4 -q -m 0 /var/lib/kubelet/disk
(umask 077; mkdir -p %[1]s)
mount -o loop /var/lib/kubelet/disk %[1]s
chmod 700 %[1]s
mountpoint -d %[1]s`, dir, size))
}

// diskStalls has a disk below etcd that is slow, and one that stands still, and then
// one that is as it was.
func (s *server) diskStalls(t *testing.T, disk string) {
	throttle := func(bytes int) {
		t.Helper()
		if err := s.Throttle(disk, bytes); err != nil {
			t.Fatal(err)
		}
	}
	throttle(40_000)
	maps := s.client(t).CoreV1().ConfigMaps("default")
	for i := range 20 {
		if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("slow-%d", i)}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitDiagnosis(t, soon, "warning", "datastore: it is slower than it should be", "the disk is slow: 1 of 100 writes to etcd's log takes over", "iostat -x 1")
	throttle(2000)
	var work sync.WaitGroup
	work.Go(func() { // or nobody would wait for the disk
		_, _ = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stuck"}}, metav1.CreateOptions{}) // may well fail
	})
	defer work.Wait()
	s.awaitDiagnoses(t, 2*soon, "problem",
		[]string{"datastore: it does not answer", "the disk is slow: 1 of 100 writes to etcd's log takes over", "iostat -x 1"},
		[]string{"api: it answers, and its own checks fail: etcd"})
	throttle(0)
	s.awaitNoProblem(t, soon, "api")
}
