package control_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/apiserver"
	"github.com/kelp-project/kelp/pkg/control/controllermanager"
	"github.com/kelp-project/kelp/pkg/control/scheduler"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/front"
	"github.com/kelp-project/kelp/pkg/internal/latest"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/pki"
)

func freePort(t testing.TB) uint16 {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// plain is the API server's configuration where another component has no keys of
// Secrets for it.
const plain = `{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": [{"resources": ["secrets"], "providers": [{"identity": {}}]}]}`

// testConfig is a server in a directory of its own, on free ports.
func testConfig(t testing.TB, kind config.DatastoreKind) (config.Config, config.Paths) {
	t.Helper()
	dir := must(os.MkdirTemp("", "kelp"))(t) // short: a socket's path has 107 bytes
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cfg := config.Default()
	cfg.DataDir = dir
	cfg.Node.Name = "test"
	cfg.Node.IPs = []netip.Addr{netip.MustParseAddr("127.0.0.2")} // etcd's member listens there
	cfg.Kubeconfig.Path = filepath.Join(dir, "admin.kubeconfig")
	cfg.API.HTTPSPort = freePort(t)
	cfg.API.BindAddress = netip.MustParseAddr("127.0.0.1")
	cfg.API.AdvertiseAddress = netip.MustParseAddr("192.0.2.1") // loopback is refused
	cfg.Datastore.Kind = kind
	cfg.Args.ControllerManager = []string{fmt.Sprintf("secure-port=%d", freePort(t))}
	cfg.Args.Scheduler = []string{fmt.Sprintf("secure-port=%d", freePort(t))}
	p := cfg.Paths()
	p.RunDir = filepath.Join(dir, "run")
	p.KineSocket = filepath.Join(p.RunDir, "kine.sock")
	p.Encryption = filepath.Join(dir, "encryption.yaml")
	if err := os.WriteFile(p.Encryption, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := pki.New(cfg).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return cfg, p
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// plane is the components of a control plane, each with a context of its
// own, started as the supervisor would.
type plane struct {
	t       testing.TB
	began   time.Time
	ctx     context.Context
	running []running
}

type running struct {
	name string
	stop context.CancelFunc
	done chan error
}

func (p *plane) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(p.ctx)
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	p.running = append(p.running, running{name, cancel, done})
}

func (p *plane) ready(name string, probe func(context.Context) error) {
	p.t.Helper()
	waiting := ""
	if err := poll.Until(p.ctx, time.Minute, func(ctx context.Context) error {
		for _, r := range p.running {
			select {
			case err := <-r.done:
				r.done <- err
				p.t.Fatalf("%s ended: %v", r.name, err)
			default:
			}
		}
		err := probe(ctx)
		if err != nil && err.Error() != waiting {
			waiting = err.Error()
			p.t.Logf("%5d ms: %s", time.Since(p.began).Milliseconds(), waiting)
		}
		return err
	}); err != nil {
		p.t.Fatalf("%s is not ready: %v", name, err)
	}
	p.t.Logf("%-22s ready after %5d ms", name, time.Since(p.began).Milliseconds())
}

func (p *plane) stop() {
	began := time.Now()
	for i := len(p.running) - 1; i >= 0; i-- {
		r, from := p.running[i], time.Now()
		r.stop()
		select {
		case err := <-r.done:
			if err != nil {
				p.t.Errorf("stop %s: %v", r.name, err)
			}
		case <-time.After(10 * time.Second):
			p.t.Fatalf("%s did not stop", r.name)
		}
		p.t.Logf("%-22s stopped in %5d ms", r.name, time.Since(from).Milliseconds())
	}
	if took := time.Since(began); took > 10*time.Second {
		p.t.Errorf("stopping took %s", took)
	}
}

func startPlane(t testing.TB, cfg config.Config, paths config.Paths) (*plane, *apiserver.APIServer) {
	t.Helper()
	p := &plane{t: t, began: time.Now(), ctx: context.Background()}
	api := latest.New[front.API]()
	store := datastore.NewAt(cfg, paths)
	p.start("datastore", store.Run)
	listener := front.New(front.OptionsFor(cfg, paths, api))
	p.start("front", listener.Run)
	p.ready("datastore", store.Ready)
	p.ready("front", listener.Ready)
	server := apiserver.New(cfg, apiserver.Inputs{
		Paths:     paths,
		Datastore: apiserver.Datastore(store.Endpoint()),
		Publish:   func(a apiserver.API) { api.Set(front.API(a)) },
	})
	p.start("apiserver", server.Run)
	p.ready("apiserver serving", server.Serving)
	p.ready("apiserver", server.Ready)
	return p, server
}

func TestControlPlane(t *testing.T) {
	for _, kind := range []config.DatastoreKind{config.DatastoreSQLite, config.DatastoreEtcd} {
		t.Run(string(kind), func(t *testing.T) {
			cfg, paths := testConfig(t, kind)
			if kind == config.DatastoreSQLite {
				addUserFiles(t, &cfg)
			}
			p, _ := startPlane(t, cfg, paths)
			manager := controllermanager.New(cfg, controllermanager.Inputs{Paths: paths})
			p.start("controller-manager", manager.Run)
			sched := scheduler.New(cfg, scheduler.Inputs{Paths: paths})
			p.start("scheduler", sched.Run)
			p.ready("controller-manager", manager.Ready)
			p.ready("scheduler", sched.Ready)
			client := must(kubernetes.NewForConfig(must(clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig.Path))(t)))(t)
			deploy(t, p, client)
			ipam := controllermanager.NewNodeIPAM(cfg, controllermanager.Inputs{Paths: paths})
			p.start("node-ipam", ipam.Run)
			p.ready("node-ipam", ipam.Ready)
			nodesGetRanges(t, p, client)
			strangers(t, cfg, paths)
			if kind == config.DatastoreSQLite {
				userFilesApply(t, p, cfg, client)
			}
			p.stop()
		})
	}
}

// nodesGetRanges creates two Nodes, which get a range each, of the size that
// kelp's network expects.
func nodesGetRanges(t testing.TB, p *plane, client kubernetes.Interface) {
	t.Helper()
	seen := map[string]string{}
	for _, name := range []string{"first", "second"} {
		if _, err := client.CoreV1().Nodes().Create(p.ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		p.ready("range of node "+name, func(ctx context.Context) error {
			node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if err == nil && node.Spec.PodCIDR == "" {
				err = errors.New("it has none")
			}
			if err == nil {
				seen[node.Spec.PodCIDR] = name
			}
			return err
		})
	}
	for cidr, name := range seen {
		// Other tests have no nodes.
		if err := client.CoreV1().Nodes().Delete(p.ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if prefix, err := netip.ParsePrefix(cidr); err != nil || prefix.Bits() != 24 || !netip.MustParsePrefix("10.42.0.0/16").Overlaps(prefix) {
			t.Errorf("a node has the range %s, %v", cidr, err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("two nodes share a range: %v", seen)
	}
}

// deploy creates a Deployment and waits for its Pod object.
func deploy(t testing.TB, p *plane, client kubernetes.Interface) {
	t.Helper()
	labels := map[string]string{"app": "web"}
	_, err := client.AppsV1().Deployments("default").Create(p.ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "kelp.local/none:1"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.ready("pod object", func(ctx context.Context) error {
		pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			return err
		}
		if len(pods.Items) != 1 {
			return fmt.Errorf("%d pods", len(pods.Items))
		}
		return nil
	})
}
