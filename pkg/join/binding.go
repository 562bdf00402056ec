package join

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containerd/log"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/kelp-project/kelp/pkg/token"
)

const (
	bindingType   = corev1.SecretType("kelp.io/node-binding")
	bindingPrefix = "kelp-node-"
	// unborn is how long a name is kept for a machine whose Node has not come
	// up: several times what a first start takes.
	unborn = 10 * time.Minute
	// minSecret is a machine's own secret, at least: 128 bits in base32.
	minSecret = 26
)

// check refuses names and addresses that are not the machine's to have: the
// certificate that it gets is signed by the authority that clients trust for
// the API.
func (s *Server) check(ctx context.Context, r request, want NodeRequest) error {
	bad := func(form string, values ...any) error {
		return &problem{http.StatusBadRequest, fmt.Sprintf(form, values...)}
	}
	if errs := validation.IsDNS1123Subdomain(want.Name); len(errs) > 0 {
		return bad("node name %q: %s", want.Name, strings.Join(errs, ", "))
	}
	if slices.Contains(reserved, want.Name) || strings.HasPrefix(want.Name, "kubernetes.") {
		return bad("node name %q is a name of the API's: choose another one with --node-name", want.Name)
	}
	if len(want.Secret) < minSecret {
		return bad("the machine's own secret is too short")
	}
	if len(want.IPs) == 0 || len(want.IPs) > 2 {
		return bad("a node has one address, or one of each family, not %d", len(want.IPs))
	}
	if own := r.who.record.Node; own != "" && own != want.Name {
		return &problem{http.StatusForbidden, fmt.Sprintf("the token is for the node %s, and this machine is called %s: set --node-name", own, want.Name)}
	}
	if r.who.node != "" && r.who.node != want.Name {
		return &problem{http.StatusForbidden, fmt.Sprintf("node %s may not ask for the certificates of %s", r.who.node, want.Name)}
	}
	nodes, err := r.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	members, err := Servers(ctx, r.client)
	if err != nil {
		return err
	}
	for _, ip := range want.IPs {
		if !ip.IsGlobalUnicast() || ip.IsLoopback() {
			return bad("%s is not an address that other machines reach a node at", ip)
		}
		for _, ranges := range [][]netip.Prefix{s.cfg.Network.ServiceCIDRs, s.cfg.Network.ClusterCIDRs} {
			for _, p := range ranges {
				if p.Contains(ip) {
					return bad("%s is in the cluster's range %s: a node needs an address outside of it", ip, p)
				}
			}
		}
		owner := ownerOf(ip, want.Name, nodes.Items, members)
		if own, err := netip.ParseAddrPort(AddressOf(s.cfg)); owner == anAPIServer && r.who.record.Role == token.Server && err == nil && own.Addr() != ip {
			// It may be that machine itself, that has left and comes back at once.
			return &problem{http.StatusServiceUnavailable, fmt.Sprintf("%s is still registered as an API server's address: that ends by itself when no server has it any more", ip)}
		}
		if owner != "" {
			return &problem{http.StatusForbidden, fmt.Sprintf("%s is the address of %s", ip, owner)}
		}
	}
	return nil
}

// reserved are names in the API server's certificate.
var reserved = []string{"localhost", "kubernetes", "apiserver-loopback-client"}

// anAPIServer owns an address of which nobody knows the node.
const anAPIServer = "an API server"

// ownerOf says who else has an address, "" if nobody.
func ownerOf(ip netip.Addr, name string, nodes []corev1.Node, servers []string) string {
	mine := false
	for _, n := range nodes {
		for _, a := range n.Status.Addresses {
			if other, err := netip.ParseAddr(a.Address); err == nil && other == ip {
				if n.Name != name {
					return "node " + n.Name
				}
				mine = true
			}
		}
	}
	for _, server := range servers {
		if ap, err := netip.ParseAddrPort(server); err == nil && ap.Addr() == ip && !mine {
			return anAPIServer
		}
	}
	return ""
}

// mayHave says that the name is the machine's without further question: it has
// shown the node's certificate, or has a token that was made for it.
func (w who) mayHave(name string) bool { return w.node == name || w.record.Node == name }

// bind makes sure that a name belongs to the machine with the secret. Certified
// is one that may have it.
func bind(ctx context.Context, client kubernetes.Interface, name, secret string, certified bool, now time.Time) error {
	secrets := client.CoreV1().Secrets(metav1.NamespaceSystem)
	sum := sha256.Sum256([]byte(secret)) // random and long: no slow hash is needed
	wanted := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: bindingPrefix + name, Namespace: metav1.NamespaceSystem},
		Type:       bindingType, Data: map[string][]byte{"hash": sum[:]},
	}
	taken := &problem{http.StatusForbidden, fmt.Sprintf("the node name %s belongs to another machine: choose another one with --node-name, or, if that machine is gone, kubectl delete node %s first, or use a token made with kelp token create --for=%s", name, name, name)}
	have, err := secrets.Get(ctx, wanted.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read the binding of node %s: %w", name, err)
	}
	missing := apierrors.IsNotFound(err)
	if !missing && subtle.ConstantTimeCompare(have.Data["hash"], sum[:]) == 1 {
		return nil
	}
	if !certified {
		_, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			return taken
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("read node %s: %w", name, err)
		case !missing && now.Sub(have.CreationTimestamp.Time) < unborn:
			return taken
		}
	}
	if missing {
		if _, err = secrets.Create(ctx, wanted, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
			return taken // by another machine, in this very moment
		}
	} else {
		wanted.ResourceVersion = have.ResourceVersion
		_, err = secrets.Update(ctx, wanted, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("bind node %s: %w", name, err)
	}
	return nil
}

// release removes the bindings of Nodes that are deleted, also while no server
// looked, until ctx ends.
func (s *Server) release(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes()
	remove := func(name string) {
		err := client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, bindingPrefix+name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			log.G(ctx).WithError(err).WithField("node", name).Warn("the name of a deleted node is still bound to its machine")
		}
	}
	if _, err := nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(o any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			remove(key)
		}
	}}); err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), nodes.Informer().HasSynced) {
		return nil
	}
	lister := nodes.Lister()
	s.nodes.Store(&lister)
	bindings, err := client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(bindingType)})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("list the bindings of nodes: %w", err)
	} else if err == nil {
		for _, b := range bindings.Items {
			name := strings.TrimPrefix(b.Name, bindingPrefix)
			if _, err := lister.Get(name); apierrors.IsNotFound(err) && time.Since(b.CreationTimestamp.Time) > unborn {
				remove(name)
			}
		}
	}
	<-ctx.Done()
	return nil
}
