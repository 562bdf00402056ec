package servicelb

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kelp-project/kelp/pkg/config"
)

const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0100000A:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
   3: 0100000A:0016 0200000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
`

const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 0000000000000000FFFF00000100007F:0052 00000000000000000000000000000000:0000 0A 00000000:00000000
   3: 0000000000000000FFFF00000100000A:0053 00000000000000000000000000000000:0000 0A 00000000:00000000
`

// What listens on loopback, or is a connection, takes no port of the node's.
func TestListening(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]int32{22, 8080}, listening([]byte(tcp), "0A")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int32{80, 83}, listening([]byte(tcp6), "0A")); diff != "" {
		t.Error(diff)
	}
	if got := listening([]byte("garbage\n a b c d\n 0: x 0 0A\n"), "0A"); got != nil {
		t.Errorf("read %v out of garbage", got)
	}
}

// A socket of this very process is found, and one on loopback is not.
func TestListenersOfThisMachine(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{"0.0.0.0:0": true, "127.0.0.1:0": false} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		taken := map[Port]string{}
		listeners(taken)
		port := Port{int32(l.Addr().(*net.TCPAddr).Port), corev1.ProtocolTCP}
		if _, got := taken[port]; got != want {
			t.Errorf("a listener at %s is counted: %v", l.Addr(), got)
		}
	}
}

func TestHostPorts(t *testing.T) {
	t.Parallel()
	pod := func(name string, phase corev1.PodPhase, port int32, protocol corev1.Protocol) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}, Status: corev1.PodStatus{Phase: phase},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{HostPort: port, Protocol: protocol}, {ContainerPort: 9}}}}},
		}
	}
	client := fake.NewClientset(pod("web", corev1.PodRunning, 80, ""), pod("dns", corev1.PodPending, 53, corev1.ProtocolUDP), pod("done", corev1.PodSucceeded, 81, ""))
	got := map[Port]string{}
	if err := hostPorts(t.Context(), client, got); err != nil {
		t.Fatal(err)
	}
	want := map[Port]string{{80, corev1.ProtocolTCP}: "pod shop/web", {53, corev1.ProtocolUDP}: "pod shop/dns"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOwnPortsFollowTheConfiguration(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.API.HTTPSPort = 7443
	if _, ok := ownPorts(cfg)[Port{7443, corev1.ProtocolTCP}]; !ok {
		t.Error("the API's own port can be given away")
	}
}
