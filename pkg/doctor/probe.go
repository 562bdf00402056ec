package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kelp-project/kelp/pkg/config"
)

const (
	// probeTimeout bounds one packet's way to another node and back.
	probeTimeout = 2 * time.Second
	// mostProbed is how many other nodes are tried.
	mostProbed = 30
	// kubeletPort is where each node answers, or refuses.
	kubeletPort = 10250
)

// observeDNS asks the cluster's DNS as a pod would: through its Service.
func observeDNS(ctx context.Context, cfg config.Config) DNS {
	if cfg.Components.DisableAgent || cfg.Disabled("coredns") || len(cfg.Network.ClusterDNS) == 0 {
		return DNS{} // there is none, or nothing here leads to Services
	}
	server := cfg.Network.ClusterDNS[0]
	d := DNS{Server: server.String(), Name: "kubernetes.default.svc." + cfg.Network.ClusterDomain}
	resolver := &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, network, net.JoinHostPort(server.String(), "53"))
	}}
	ctx, cancel := context.WithTimeout(ctx, 2*probeTimeout)
	defer cancel()
	began := time.Now()
	_, err := resolver.LookupNetIP(ctx, "ip", d.Name+".")
	d.Took = time.Since(began)
	if err != nil {
		d.Err = err.Error()
	}
	return d
}

// observeReach connects to the other nodes, at their own addresses and, through
// what carries pods' packets, at one in their range of pods.
func observeReach(ctx context.Context, cfg config.Config, nodes []corev1.Node) []Reach {
	var (
		work  sync.WaitGroup
		mu    sync.Mutex
		found []Reach
	)
	try := func(r Reach) {
		work.Go(func() {
			r.Err = dial(ctx, r.Address)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, r)
		})
	}
	tried := 0
	for _, n := range nodes {
		if n.Name == cfg.Node.Name || tried == mostProbed {
			continue
		}
		tried++
		if address := internal(n); address != "" {
			try(Reach{Node: n.Name, Address: at(address)})
		}
		if address := podsAddress(cfg, n); address != "" {
			try(Reach{Node: n.Name, Address: at(address), Pods: true})
		}
	}
	work.Wait()
	slices.SortFunc(found, func(a, b Reach) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.Address, b.Address))
	})
	return found
}

func at(address string) string { return net.JoinHostPort(address, strconv.Itoa(kubeletPort)) }

func internal(n corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}

// podsAddress is one that a node has in its range of pods: that of flannel's
// interface, the first of the range. With host-gw there is none before the first
// pod, and routes are all that there is.
func podsAddress(cfg config.Config, n corev1.Node) string {
	if cfg.Components.DisableAgent || cfg.Network.Backend != config.BackendVXLAN && cfg.Network.Backend != config.BackendWireGuard {
		return ""
	}
	if c := condition(&n, corev1.NodeReady); c == nil || c.Status != corev1.ConditionTrue {
		return "" // its own address says enough
	}
	if r, err := netip.ParsePrefix(n.Spec.PodCIDR); err == nil {
		return r.Addr().String()
	}
	return ""
}

// dial connects to a kubelet, and says why it could not.
func dial(ctx context.Context, address string) string {
	conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	// The kubelet logs a connection that ends before it has begun. Whose it is does not
	// matter, for nothing is told or asked, nor whether it has begun: it was reached.
	_ = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	return ""
}

// observeTunnels has the API server ask each kubelet that is said to be ready
// for its health.
func observeTunnels(ctx context.Context, cfg config.Config, nodes []corev1.Node) map[string]string {
	c, err := connect(cfg, true)
	if err != nil {
		return nil
	}
	var (
		work  sync.WaitGroup
		mu    sync.Mutex
		found = map[string]string{}
	)
	for i, n := range nodes {
		if r := condition(&n, corev1.NodeReady); i >= mostProbed || r == nil || r.Status != corev1.ConditionTrue {
			continue
		}
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*probeTimeout)
			defer cancel()
			_, err := c.kube.CoreV1().RESTClient().Get().Resource("nodes").Name(n.Name).SubResource("proxy").Suffix("healthz").MaxRetries(0).DoRaw(ctx)
			why := ""
			if err != nil {
				why = fmt.Sprint(err)
			}
			mu.Lock()
			defer mu.Unlock()
			found[n.Name] = why
		})
	}
	work.Wait()
	return found
}
