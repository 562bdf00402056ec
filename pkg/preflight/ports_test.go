package preflight

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
)

// texts are the findings at a level, one a line.
func texts(found []Finding, level Level) string {
	var lines []string
	for _, f := range found {
		if f.Level == level {
			lines = append(lines, f.Line())
		}
	}
	return strings.Join(lines, "\n")
}

func listener(address string, pid int, command string) Listener {
	return Listener{Address: netip.MustParseAddrPort(address), PID: pid, Command: command}
}

func TestPortsThatAreTaken(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	for name, c := range map[string]struct {
		change    func(*config.Config)
		listeners []Listener
		holder    int
		want      string
	}{
		"none": {},
		"the API's": {
			listeners: []Listener{listener("[::]:6443", 77, "socat")},
			want:      "port 6443 (the API) is taken by socat (process 77): stop it, or set api.httpsPort",
		},
		"one of another address": {listeners: []Listener{listener("192.0.2.1:10257", 77, "socat")}},
		"all addresses of a port on loopback": {
			listeners: []Listener{listener("0.0.0.0:10257", 0, "")},
			want:      "port 10257 (kube-controller-manager) is taken by a process that cannot be seen from here: stop it, or set its secure-port in args.controllerManager",
		},
		"several by one": {
			listeners: []Listener{listener("[::]:6443", 9, "k0s"), listener("127.0.0.1:10259", 9, "k0s")},
			want:      "ports 6443 (the API), 10259 (kube-scheduler) are taken by k0s (process 9): stop it; is it another Kubernetes?",
		},
		"by the kelp that runs": {listeners: []Listener{listener("[::]:6443", 9, "kelp")}, holder: 9},
		"etcd's, without etcd":  {listeners: []Listener{listener("127.0.0.1:2379", 9, "etcd")}},
		"etcd's": {
			change:    func(c *config.Config) { c.Datastore.Kind = config.DatastoreEtcd },
			listeners: []Listener{listener("127.0.0.1:2379", 9, "etcd")},
			want:      "port 2379 (etcd) is taken by etcd (process 9): stop it",
		},
		"the kubelet's, without a kubelet": {
			change:    func(c *config.Config) { c.Components.DisableAgent = true },
			listeners: []Listener{listener("[::]:10250", 9, "kubelet")},
		},
		"one that was moved away": {
			change:    func(c *config.Config) { c.Args.Proxy = []string{"healthz-bind-address=127.0.0.1:11256"} },
			listeners: []Listener{listener("127.0.0.1:10256", 9, "kube-proxy")},
		},
		"where one was moved to": {
			change:    func(c *config.Config) { c.Args.Scheduler = []string{"--secure-port=11259"} },
			listeners: []Listener{listener("127.0.0.1:11259", 9, "socat")},
			want:      "port 11259 (kube-scheduler) is taken by socat (process 9): stop it, or set its secure-port in args.scheduler",
		},
		"one that is switched off": {
			change:    func(c *config.Config) { c.Args.Kubelet = []string{"healthz-port=0"} },
			listeners: []Listener{listener("127.0.0.1:10248", 9, "socat")},
		},
	} {
		cfg := cfg
		if c.change != nil {
			c.change(&cfg)
		}
		if got := texts(checkPorts(ports(cfg, Server), c.listeners, nil, c.holder), Error); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
	if got := texts(checkPorts(ports(cfg, Server), nil, errors.New("no /proc"), 0), Warning); !strings.Contains(got, "no /proc") {
		t.Errorf("got %q", got)
	}
}

func TestParseSocket(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode":                                           "",
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23456 1 0 100 0 0 10 0":                          "127.0.0.1:8080 23456",
		"   0: 0100007F:1F90 0100007F:A0B2 01 00000000:00000000 00:00000000 00000000     0        0 23457 1 0 100 0 0 10 0":                          "",
		"   1: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 99 1 0 100": "[::]:6443 99",
		"   2: 0000000000000000FFFF00000100007F:2811 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 98 1 0 100": "127.0.0.1:10257 98",
	} {
		l, ok := parseSocket(line)
		got := ""
		if ok {
			got = l.Address.String() + " " + l.Inode
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

func TestListenersOfThisMachine(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mine := netip.MustParseAddrPort(l.Addr().String())
	seen, err := observeListeners("/proc", func(l Listener) bool { return l.Address == mine })
	if err != nil || len(seen) != 1 || seen[0].PID != os.Getpid() || seen[0].Command == "" {
		t.Errorf("%v, %v; want %s of process %d", seen, err, mine, os.Getpid())
	}
}

func TestListenersWithoutIPv6(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	if err := os.MkdirAll(filepath.Join(proc, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	row := "   0: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5 1 0\n"
	if err := os.WriteFile(filepath.Join(proc, "net", "tcp"), []byte("head\n"+row), 0o644); err != nil {
		t.Fatal(err)
	}
	seen, err := observeListeners(proc, func(Listener) bool { return true })
	if err != nil || len(seen) != 1 || seen[0].Address.Port() != 6443 || seen[0].PID != 0 {
		t.Errorf("%v, %v", seen, err)
	}
}
