package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// healthzPort is upstream's port of /healthz, on loopback.
const healthzPort = 10248

// ErrNotStarted is returned by Ready until the kubelet's configuration has
// been computed.
var ErrNotStarted = errors.New("the kubelet has not started yet")

// Kubelet is the kubelet of this node.
type Kubelet struct {
	cfg    config.Config
	in     Inputs
	health http.Client
	listen atomic.Pointer[string] // where /healthz is, "" if switched off

	began   time.Time   // set before listen
	renewed atomic.Bool // the node's lease was renewed since

	informed atomic.Bool // it knows the node's pods

	mu     sync.Mutex
	client kubernetes.Interface
}

// New returns the kubelet, not yet running.
func New(cfg config.Config, in Inputs) *Kubelet {
	return &Kubelet{cfg: cfg, in: in, health: http.Client{Timeout: time.Second}}
}

// Merged returns the arguments with the user's merged over them, checked
// together with the drop-ins and with what they need of the host.
func (k *Kubelet) Merged() (*args.Set, error) {
	dropIns, err := ReadDropIns(k.cfg.Kubelet.ConfigDir)
	if err != nil {
		return nil, err
	}
	server, _, err := Server(k.cfg, k.in, dropIns)
	if err == nil {
		err = graceful(server, onHost)
	}
	if err != nil {
		return nil, err
	}
	return Args(k.cfg, k.in)
}

// Run runs the kubelet until ctx ends. Pods stay. It works once per process:
// upstream's goroutines do not all end.
func (k *Kubelet) Run(ctx context.Context) error {
	p := k.cfg.Paths()
	dropIns, err := ReadDropIns(k.cfg.Kubelet.ConfigDir)
	if err != nil {
		return err
	}
	server, effective, err := Server(k.cfg, k.in, dropIns)
	if err != nil {
		return err
	}
	for dir, mode := range map[string]os.FileMode{p.StaticPods: 0o700, p.KubeletRoot: 0o755, filepath.Dir(p.KubeletConfig): 0o700} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("create kubelet's directories: %w", err)
		}
	}
	if err := write(p.KubeletConfig, effective); err != nil {
		return err
	}
	if k.in.WriteResolvConf {
		text := resolvConf(k.cfg.Node.IPs)
		if _, err := atomicfile.WriteIfChanged(k.in.ResolvConf, text, 0o644); err != nil {
			return err
		}
	}
	if err := preflight(server); err != nil {
		return err
	}
	address := ""
	if server.HealthzPort > 0 {
		address = net.JoinHostPort(server.HealthzBindAddress, strconv.Itoa(int(server.HealthzPort)))
	}
	k.began = time.Now()
	k.listen.Store(&address)
	return run(ctx, server)
}

// Ready asks the kubelet for its health and the API server for the node's
// Ready condition.
func (k *Kubelet) Ready(ctx context.Context) error {
	if err := k.healthy(ctx); err != nil {
		return err
	}
	client, err := k.clientset()
	if err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, k.cfg.Node.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node: %w", err)
	}
	if err := k.lives(ctx, client, node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return k.knowsPods(ctx, client)
		} else if c.Type == corev1.NodeReady {
			return fmt.Errorf("node is not ready: %s", c.Message)
		}
	}
	return errors.New("node has no status yet")
}

// lives says whether it is this kubelet, and not the one before a restart, of
// which the node tells: it has registered the node, or renewed its lease. A
// new node's first lease takes ten seconds when it comes before the node.
func (k *Kubelet) lives(ctx context.Context, client kubernetes.Interface, node *corev1.Node) error {
	if k.renewed.Load() || !node.CreationTimestamp.Time.Before(k.began.Truncate(time.Second)) {
		return nil
	}
	lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the node's lease: %w", err)
	}
	if lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Time.Before(k.began) {
		return errors.New("the kubelet has not renewed the node's lease yet")
	}
	k.renewed.Store(true)
	return nil
}

func (k *Kubelet) healthy(ctx context.Context) error {
	address := k.listen.Load()
	if address == nil {
		return ErrNotStarted
	}
	if *address == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+*address+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("ask kubelet for its health: %w", err)
	}
	res, err := k.health.Do(req)
	if err != nil {
		return fmt.Errorf("ask kubelet for its health: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1024))
		return fmt.Errorf("kubelet is not healthy: %s", strings.TrimSpace(string(body)))
	}
	return nil
}

func (k *Kubelet) clientset() (kubernetes.Interface, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client != nil {
		return k.client, nil
	}
	rest, err := clientcmd.BuildConfigFromFlags("", k.in.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", k.in.Kubeconfig, err)
	}
	rest.QPS = -1 // Ready is polled; the pace is the supervisor's
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("connect with %s: %w", k.in.Kubeconfig, err)
	}
	k.client = client
	return client, nil
}
