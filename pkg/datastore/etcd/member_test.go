package etcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/storetest"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/pki"
)

// childDir makes this test binary write to the member in the directory, on
// the ports, until it is killed.
const childDir = "KELP_TEST_ETCD_CHILD"

func TestMain(m *testing.M) {
	child := os.Getenv(childDir)
	if child == "" {
		os.Exit(m.Run())
	}
	if err := write(child); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(child string) error {
	part := strings.Split(child, ",")
	var ports [2]uint16
	for i := range ports {
		port, err := strconv.ParseUint(part[i+1], 10, 16)
		if err != nil {
			return err
		}
		ports[i] = uint16(port)
	}
	ctx, in := context.Background(), inputs(part[0], ports)
	go func() { fmt.Fprintln(os.Stderr, New(in).Run(ctx)) }()
	client, err := connect(ctx, part[0], in)
	if err != nil {
		return err
	}
	return storetest.WriteForever(ctx, client, os.Stdout)
}

func configFor(dir string) config.Config {
	cfg := config.Default()
	cfg.DataDir = filepath.Join(dir, "data")
	cfg.Kubeconfig.Path = filepath.Join(dir, "kubeconfig")
	cfg.Node.Name = "one"
	return cfg
}

func inputs(dir string, ports [2]uint16) Inputs {
	p := configFor(dir).Paths()
	server, peer := pki.FilesOf(p, pki.EtcdServer), pki.FilesOf(p, pki.EtcdPeer)
	return Inputs{
		Name: "one", Dir: p.Etcd, HTTPSocket: filepath.Join(dir, "run", "http.sock"),
		ClientPort: ports[0], PeerPort: ports[1],
		Server: TLS{Cert: server.Cert, Key: server.Key, CA: server.CA},
		Peer:   TLS{Cert: peer.Cert, Key: peer.Key, CA: peer.CA},
	}
}

func connect(ctx context.Context, dir string, in Inputs) (*clientv3.Client, error) {
	files := pki.FilesOf(configFor(dir).Paths(), pki.EtcdClient)
	tlsConfig, err := transport.TLSInfo{CertFile: files.Cert, KeyFile: files.Key, TrustedCAFile: files.CA}.ClientConfig()
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{in.ClientURL()}, TLS: tlsConfig, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1, MaxDelay: 10 * time.Millisecond},
		})},
	})
	if err != nil {
		return nil, err
	}
	return client, poll.Until(ctx, 20*time.Second, func(ctx context.Context) error {
		_, err := client.Get(ctx, "/")
		return err
	})
}

// fixture makes a directory with certificates, and finds free ports.
func fixture(t *testing.T) (dir string, ports [2]uint16) {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := pki.New(configFor(dir)).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = uint16(l.Addr().(*net.TCPAddr).Port)
	}
	return dir, ports
}

func start(t *testing.T, dir string, in Inputs) (client *clientv3.Client, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(in).Run(ctx) }()
	client, err := connect(ctx, dir, in)
	if err != nil {
		cancel()
		t.Fatalf("%v; %v", err, <-done)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		_ = client.Close()
	}
	t.Cleanup(stop)
	return client, stop
}

func TestSuite(t *testing.T) {
	dir, ports := fixture(t)
	client, _ := start(t, dir, inputs(dir, ports))
	storetest.Run(t, func(*testing.T) *clientv3.Client { return client })
}

func TestDurable(t *testing.T) {
	dir, ports := fixture(t)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%s,%d,%d", childDir, dir, ports[0], ports[1]))
	storetest.Durable(t, command, func(t *testing.T) *clientv3.Client {
		client, _ := start(t, dir, inputs(dir, ports))
		return client
	})
}

func TestAMemberAloneStartsAndStopsQuickly(t *testing.T) {
	dir, ports := fixture(t)
	for _, what := range []string{"new", "restarted"} {
		began := time.Now()
		client, stop := start(t, dir, inputs(dir, ports))
		t.Logf("a %s member answers after %s", what, time.Since(began))
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("a %s member took %s to answer", what, took)
		}
		<-client.Watch(context.Background(), "/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		began = time.Now()
		stop()
		t.Logf("and stops in %s, with an open watch", time.Since(began))
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("stopping took %s", took)
		}
	}
}

// Its own time to lead comes after a heartbeat of ten seconds at the earliest. Raft
// has something to say about being asked before it has done with its log, or panics.
func TestAMemberAloneLeadsAtOnce(t *testing.T) {
	dir, ports := fixture(t)
	in := inputs(dir, ports)
	in.User = []string{"heartbeat-interval=10000", "election-timeout=50000"}
	var lines bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&lines)
	for _, what := range []string{"new", "restarted", "restarted beside a learner that is away"} {
		ctx, cancel := context.WithCancel(log.WithLogger(t.Context(), logrus.NewEntry(logger)))
		done := make(chan error, 1)
		go func() { done <- New(in).Run(ctx) }()
		soon, over := context.WithTimeout(ctx, 9*time.Second)
		client, err := connect(soon, dir, in)
		over()
		if err != nil {
			t.Fatalf("a member, %s: %v", what, err)
		}
		for range 200 { // raft's log drops its first entries after a hundred
			if _, err := client.Put(ctx, "/key", what); err != nil {
				t.Fatal(err)
			}
		}
		if what == "restarted" {
			if _, err := client.MemberAddAsLearner(ctx, []string{"https://127.0.0.1:1"}); err != nil {
				t.Fatal(err)
			}
		}
		_ = client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a member, %s: %v", what, err)
		}
	}
	if strings.Contains(lines.String(), "cannot campaign") {
		t.Errorf("it was asked too early:\n%s", &lines)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	dir, ports := fixture(t)
	in := inputs(dir, ports)
	start(t, dir, in)
	for _, port := range ports {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err == nil {
			// With TLS 1.3 the server's refusal comes with the first read.
			_, err = conn.Read(make([]byte, 1))
		}
		if err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Errorf("%s without a certificate: %v", address, err)
		}
		if resp, err := http.Get("http://" + address + "/metrics"); err == nil && resp.StatusCode == http.StatusOK {
			t.Errorf("%s serves metrics without TLS", address)
		}
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", in.HTTPSocket)
	}}}
	resp, err := client.Get("http://etcd/metrics")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("metrics on the socket: %v, %v", resp, err)
	}
	if info, err := os.Stat(filepath.Dir(in.HTTPSocket)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v, %v", info, err)
	}
}

// A member that is started without its majority serves nobody, and stops when it is
// told to all the same.
func TestStopsWithoutAMajority(t *testing.T) {
	t.Parallel()
	dir, ports := fixture(t)
	in := inputs(dir, ports)
	client, stop := start(t, dir, in)
	if _, err := client.MemberAdd(t.Context(), []string{"https://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- New(in).Run(ctx) }()
	if err := poll.Until(ctx, 20*time.Second, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", in.PeerPort))
		if err != nil {
			return err
		}
		return conn.Close()
	}); err != nil {
		t.Fatalf("listens for its peers: %v", err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not stop")
	}
}
