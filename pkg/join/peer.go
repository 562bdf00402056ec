package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/epoch"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
	kelp "github.com/kelp-project/kelp/pkg/version"
)

// maxSkew is by how many minor releases servers may differ: upstream allows API
// servers of one cluster to be one apart.
const maxSkew = 1

// BusyError is the answer of a server that can take another one later.
type BusyError struct{ Reason string }

// Error is the reason.
func (e *BusyError) Error() string { return e.Reason }

// RefusalError is the answer of a server that cannot take another one.
type RefusalError struct{ Reason string }

// Error is the reason.
func (e *RefusalError) Error() string { return e.Reason }

// peer answers with what another server needs: the keys of the cluster.
func (s *Server) peer(ctx context.Context, r request) (any, error) {
	if r.who.record.Role != token.Server {
		return nil, &problem{http.StatusForbidden, r.who.String() + " lets no server in: use a server's token, as in server/token below a server's data directory"}
	}
	var want PeerRequest
	if err := json.NewDecoder(r.Body).Decode(&want); err != nil {
		return nil, &problem{http.StatusBadRequest, "the request cannot be read: " + err.Error()}
	}
	if err := skew(kelp.KubernetesVersion, want.Kubernetes); err != nil {
		return nil, &problem{http.StatusForbidden, err.Error()}
	}
	if err := s.check(ctx, r, NodeRequest{Name: want.Name, IPs: want.IPs, Secret: want.Secret}); err != nil {
		return nil, err
	}
	if err := s.grow(ctx); err != nil {
		var busy *BusyError
		var refusal *RefusalError
		switch {
		case errors.As(err, &busy):
			return nil, &problem{http.StatusServiceUnavailable, busy.Reason}
		case errors.As(err, &refusal):
			return nil, &problem{http.StatusForbidden, refusal.Reason}
		}
		return nil, err
	}
	var sealed []byte
	both, binding := errgroup.WithContext(ctx)
	both.Go(func() error {
		return bind(binding, r.client, want.Name, want.Secret, r.who.mayHave(want.Name), s.now())
	})
	both.Go(func() (err error) { // slow, on purpose
		sealed, err = seal(s.cfg.Paths(), r.who.secret, want.Salt)
		return err
	})
	if err := both.Wait(); err != nil {
		return nil, err
	}
	if err := s.spend(ctx, r); err != nil {
		return nil, err
	}
	current, err := epoch.Current(s.cfg.Paths())
	if err != nil {
		return nil, err
	}
	return PeerResponse{Sealed: sealed, Epoch: current}, nil
}

// skew refuses servers that are too far apart.
func skew(mine, other string) error {
	if mine == other {
		return nil
	}
	a, err := version.ParseGeneric(mine)
	if err != nil {
		return fmt.Errorf("read version %s: %w", mine, err)
	}
	b, err := version.ParseGeneric(other)
	if err != nil {
		return fmt.Errorf("the version %q of the server that joins cannot be read: %w", other, err)
	}
	apart := int(a.Minor()) - int(b.Minor())
	if a.Major() != b.Major() || apart > maxSkew || -apart > maxSkew {
		return fmt.Errorf("this server has Kubernetes %s and the one that joins has %s: they may be one minor release apart", mine, other)
	}
	return nil
}

// Joined says whether a machine is a server that has joined others.
func Joined(cfg config.Config) bool {
	paths := cfg.Paths()
	for _, file := range []string{paths.ClusterFile, pki.AuthorityFiles(paths, pki.ServerCA).Key} {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return true
}

// Remembered is what a machine that has joined was told of the cluster; known
// is false for one that has not.
func Remembered(paths config.Paths) (c Cluster, known bool, err error) {
	m := &Member{paths: paths}
	return m.remembered()
}

// Peer gets what a server needs to be one of the cluster's. Settle makes the
// configuration of what the cluster shares. What is written last makes the
// machine one that has joined.
func (m *Member) Peer(ctx context.Context, settle func(Cluster) (config.Config, error)) error {
	var cluster Cluster
	if err := m.try(ctx, false, func(ctx context.Context, c *Client) (err error) {
		cluster, err = c.Cluster(ctx)
		return err
	}); err != nil {
		return err
	}
	cfg, err := settle(cluster)
	if err != nil {
		return err
	}
	secret, err := m.secret()
	if err != nil {
		return err
	}
	opener := newOpener(m.token.Secret)
	var deriving sync.WaitGroup
	deriving.Go(func() { _, _ = opener.own() }) // whoever opens the answer gets its error
	defer deriving.Wait()
	want := PeerRequest{Name: cfg.Node.Name, IPs: cfg.Node.IPs, Secret: secret, Kubernetes: kelp.KubernetesVersion, Salt: opener.salt}
	var answer PeerResponse
	if err := m.try(ctx, false, func(ctx context.Context, c *Client) (err error) {
		answer, err = c.Peer(ctx, want)
		return err
	}); err != nil {
		return err
	}
	contents, err := opener.open(answer.Sealed)
	if err != nil {
		return err
	}
	if err := install(m.paths, contents); err != nil {
		return err
	}
	if err := os.MkdirAll(m.paths.Etcd, 0o700); err != nil {
		return fmt.Errorf("make directory of etcd: %w", err)
	}
	if err := answer.Epoch.Adopt(m.paths); err != nil {
		return err
	}
	return m.remember(cluster)
}

// Bound returns the nodes whose names belong to a machine: those that have
// joined, and those that are there.
func Bound(ctx context.Context, client kubernetes.Interface) (map[string]bool, error) {
	bound := map[string]bool{}
	bindings, err := client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(bindingType)})
	if err != nil {
		return nil, fmt.Errorf("list the bindings of nodes: %w", err)
	}
	for _, b := range bindings.Items {
		bound[strings.TrimPrefix(b.Name, bindingPrefix)] = true
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	for _, n := range nodes.Items {
		bound[n.Name] = true
	}
	return bound, nil
}

// Hosts are the hosts of the servers that are remembered, without ports.
func (c Cluster) Hosts() []string {
	var hosts []string
	for _, s := range c.Servers {
		if host := s[:max(strings.LastIndex(s, ":"), 0)]; host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}
