//go:build e2e

package tests

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/kelp-project/kelp/tests/hosts"
)

// notRenewed refuses every change of the lease by which one of the servers runs what
// runs once, as a webhook of somebody's may.
const notRenewed = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: not-renewed}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [coordination.k8s.io], apiVersions: ["*"], operations: [UPDATE], resources: [leases], resourceNames: [kelp]}]
  validations: [{expression: "false"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: not-renewed}
spec: {policyName: not-renewed, validationActions: [Deny]}
`

// doctorOfServers has a lease that nobody can renew, and an agent whose kelp hangs
// while its machine takes connections. Both go on in the processes that they had.
// Meanwhile what one server sends to the others takes long, which its etcd notices
// within half a minute.
func doctorOfServers(t *testing.T, one, two, three *server, leaf *server) {
	fast, err := two.Delay(t.Context(), 80*time.Millisecond, one.Address+":2380", three.Address+":2380")
	if err != nil {
		t.Fatal(err)
	}
	two.run(t, "systemctl restart kelp") // connections that are there stay as they are
	t.Run("a lease is not renewed, and an agent hangs", func(t *testing.T) { doctorOfHangs(t, one, leaf) })
	two.awaitDiagnosis(t, 3*soon, "problem", "datastore: it is slow: a read takes ", "the network between servers is slow: a message takes ", "kelp check")
	if err := fast(t.Context()); err != nil {
		t.Fatal(err)
	}
	two.run(t, "systemctl restart kelp")
	two.awaitNoProblem(t, ready, "datastore", "warning") // of a disk that others use
	one.awaitVoters(t, soon, 3, 0)
	moveLeader(t, 12, one, two, three)
	one.awaitDiagnosis(t, soon, "warning", "datastore: etcd's leader has changed ", " times since this server started", "kelp etcd members")
}

func doctorOfHangs(t *testing.T, one, leaf *server) {
	unit := func(s *server, action string) {
		t.Helper()
		s.run(t, "systemctl kill --signal="+action+" --kill-whom=main kelp")
	}
	before := one.run(t, "systemctl show -p MainPID --value kelp")
	unit(leaf, "STOP")
	defer unit(leaf, "CONT")
	one.apply(t, notRenewed)
	one.awaitDiagnosis(t, 3*soon, "problem", "controllers: ", " holds the lease, and has not renewed it for ", "controllers and scheduler rest", "kelp doctor")
	one.kubectl(t, "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "not-renewed")
	one.awaitNoProblem(t, 2*soon, "controllers")
	// The controllers, which had to rest, mark the node.
	one.awaitDiagnosis(t, 3*soon, "problem", "nodes: "+leaf.Name+" is not ready: its kubelet has said nothing for ", "its kubelet hangs", "on "+leaf.Name+": kelp doctor")
	unit(leaf, "CONT")
	one.awaitNoProblem(t, ready, "nodes")
	if after := one.run(t, "systemctl show -p MainPID --value kelp"); after != before {
		t.Errorf("kelp on %s has started anew", one.Name)
	}
}

// moveLeader has another etcd member lead, so many times.
func moveLeader(t *testing.T, times int, servers ...*server) {
	t.Helper()
	var ids []uint64
	clients := map[uint64]*clientv3.Client{}
	var leader uint64
	for _, s := range servers {
		c := s.etcd(t)
		st, err := c.Status(t.Context(), c.Endpoints()[0])
		if err != nil {
			t.Fatal(err)
		}
		leader = st.Leader
		ids = append(ids, st.Header.MemberId)
		clients[st.Header.MemberId] = c
	}
	for range times {
		next := ids[(slices.Index(ids, leader)+1)%len(ids)]
		hosts.Eventually(t, soon, "another member leads", func(ctx context.Context) error {
			if _, err := clients[leader].MoveLeader(ctx, next); err != nil {
				return err
			}
			leader = next
			return nil
		})
	}
}

// etcd is a client of the server's own etcd member.
func (s *server) etcd(t *testing.T) *clientv3.Client {
	t.Helper()
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM([]byte(s.run(t, "cat "+tlsDir+"etcd-ca.crt")))
	const address = "127.0.0.1:2379"
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://" + address}, Logger: zap.NewNop(),
		TLS:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{s.keyPair(t, "etcd-client")}, RootCAs: authorities},
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx, "tcp", address) })},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
