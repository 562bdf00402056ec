//go:build e2e

package tests

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// listeners are all TCP ports that a server may have open, and on which
// addresses: nothing else listens beyond loopback.
var listeners = []struct {
	port     string
	loopback bool
}{
	{"6443", false},  // the API
	{"10250", false}, // the kubelet
	{"10248", true},  // the kubelet's health
	{"10249", true},  // kube-proxy's metrics
	{"10256", false}, // kube-proxy's health, which load balancers ask
	{"10257", true},  // the controller-manager
	{"10259", true},  // the scheduler
	{"6444", true},   // the API behind the one listener, if it needs a port
}

// Every port that listens is one we know, and only where it should.
func TestNoUnexpectedPorts(t *testing.T) {
	s := cluster(t)
	for _, line := range strings.Split(s.run(t, "ss -ltnpH"), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.Contains(line, "kelp") {
			continue
		}
		host, port, err := net.SplitHostPort(fields[3])
		if err != nil {
			t.Fatalf("read %q: %v", line, err)
		}
		ip := net.ParseIP(strings.Split(strings.Trim(host, "[]"), "%")[0])
		onLoopback := ip != nil && ip.IsLoopback()
		known := slices.IndexFunc(listeners, func(l struct {
			port     string
			loopback bool
		}) bool {
			return l.port == port && (onLoopback || !l.loopback)
		})
		if known < 0 && !onLoopback {
			t.Errorf("a port that is open to everyone is not in the list: %s", line)
		}
	}
	if udp := s.run(t, "ss -lunpH | grep kelp || true"); udp != "" {
		t.Errorf("UDP ports are open: %s", udp)
	}
}

// status asks from another machine, without a certificate, and returns the
// HTTP status; 0 when there is no answer.
func status(t *testing.T, s *server, url string) string {
	t.Helper()
	r, err := s.Exec(t.Context(), "", "curl", "-sk", "--max-time", "5", "-o", "/dev/null", "-w", "%{http_code}", url)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(r.Stdout)
}

// A client without credentials learns nothing but health and version.
func TestStrangersAreRefused(t *testing.T) {
	s := cluster(t)
	stranger, err := boot(t.Context(), specNamed("stranger"), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stranger.Stop(contextOf(t)); err != nil {
			t.Error(err)
		}
	})
	refused := []string{"401", "403"}
	for _, path := range []string{
		"/", "/api", "/api/v1/nodes", "/api/v1/secrets", "/apis", "/metrics", "/debug/pprof/", "/logs/", "/openapi/v2",
		"/v1-kelp/", "/v1-kelp/bootstrap", "/v1-kelp/../api/v1/secrets", "/api/v1/nodes/" + s.Name + "/proxy/pods",
	} {
		if got := status(t, stranger, "https://"+s.Address+":6443"+path); !slices.Contains(append(refused, "404"), got) {
			t.Errorf("GET %s is answered with %s", path, got)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/ping", "/cacerts"} {
		if got := status(t, stranger, "https://"+s.Address+":6443"+path); got != "200" {
			t.Errorf("GET %s is answered with %s, want 200", path, got)
		}
	}
	for _, path := range []string{"/pods", "/metrics", "/exec/x/y/z", "/configz", "/logs/", "/debug/pprof/"} {
		if got := status(t, stranger, "https://"+s.Address+":10250"+path); !slices.Contains(refused, got) {
			t.Errorf("the kubelet answers GET %s with %s", path, got)
		}
	}
	for _, port := range []int{10248, 10249, 10255, 10257, 10259, 2379, 2380, 6444, 6060} {
		if conn, err := stranger.Dial(t.Context(), "tcp", fmt.Sprintf("%s:%d", s.Address, port)); err == nil {
			_ = conn.Close() // that it opened is the finding
			t.Errorf("port %d is open to other machines", port)
		}
	}
	for _, port := range []string{"10257", "10259"} {
		if got := status(t, s, "https://127.0.0.1:"+port+"/metrics"); !slices.Contains(refused, got) {
			t.Errorf("on loopback, port %s answers /metrics with %s", port, got)
		}
	}
}

// The certificate does not change with what a stranger calls the server.
func TestStrangersNamesDoNotEnterTheCertificate(t *testing.T) {
	s := cluster(t)
	certificate := func(name string) string {
		return s.run(t, "openssl s_client -connect 127.0.0.1:6443 -servername "+name+" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -ext subjectAltName")
	}
	before := certificate("localhost")
	if after := certificate("evil.example"); after != before || strings.Contains(after, "evil") {
		t.Errorf("the certificate was %s, is %s", before, after)
	}
	s.run(t, "curl -sk -H 'Host: evil.example' https://127.0.0.1:6443/ping")
	if after := certificate("localhost"); after != before {
		t.Errorf("the certificate was %s, is %s", before, after)
	}
}

// Keys are root's alone, and so are sockets that give power over the node.
func TestKeysAndSocketsAreRootsAlone(t *testing.T) {
	s := cluster(t)
	for _, line := range strings.Split(s.run(t, `grep -rlsE 'PRIVATE KEY|client-key-data' /etc/kelp /var/lib/kelp --include='*.key' --include='*.yaml' --include='*.kubeconfig' --include='*.pem' --include='*.crt' | xargs stat -c '%a %U:%G %n'`), "\n") {
		if !strings.HasPrefix(line, "600 root:root ") {
			t.Errorf("a private key is not root's alone: %s", line)
		}
	}
	for _, line := range strings.Split(s.run(t, `stat -c '%a %U %n' /var/lib/kelp/server/tls /var/lib/kelp/server/token`), "\n") {
		if !strings.HasPrefix(line, "700 root ") && !strings.HasPrefix(line, "600 root ") {
			t.Errorf("a secret place is open: %s", line)
		}
	}
	sockets := strings.Fields(s.run(t, "find /run/kelp -type s"))
	if len(sockets) < 3 {
		t.Fatalf("want at least the sockets of the datastore, of containerd and of the status, have %v", sockets)
	}
	for _, socket := range sockets {
		r, err := s.Exec(t.Context(), "", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "socat", "-u", "OPEN:/dev/null", "UNIX-CONNECT:"+socket)
		if err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "Permission denied") {
			t.Errorf("nobody can connect to %s: %+v, %v", socket, r, err)
		}
	}
}
