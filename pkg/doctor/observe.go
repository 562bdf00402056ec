package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kelp-project/kelp/pkg/config"
)

// apiTimeout bounds the first question: whoever does not answer it is asked no
// others.
const apiTimeout = 5 * time.Second

// observeAPI asks the API server for its own checks.
func observeAPI(ctx context.Context, c clients) API {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	a := API{URL: c.rest.Host}
	began := time.Now()
	body, err := c.kube.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "true").MaxRetries(0).DoRaw(ctx)
	a.Took = time.Since(began)
	a.Failed = failedChecks(string(body))
	if err != nil && len(a.Failed) == 0 {
		a.Err = err.Error()
	}
	return a
}

// failedChecks reads what /readyz?verbose says: lines such as
//
//	[-]etcd failed: reason withheld
func failedChecks(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	return names
}

const (
	// pageSize and mostPods bound what is held of a large cluster.
	pageSize = 500
	mostPods = 10_000
)

var (
	addonResource    = schema.GroupVersionResource{Group: "kelp.io", Version: "v1", Resource: "addons"}
	upgradeResource  = schema.GroupVersionResource{Group: "kelp.io", Version: "v1", Resource: "upgrades"}
	snapshotResource = schema.GroupVersionResource{Group: "kelp.io", Version: "v1", Resource: "snapshots"}
)

// looker lists side by side and notes what failed.
type looker struct {
	clients
	work sync.WaitGroup

	mu     sync.Mutex
	errs   map[string]string
	slowed time.Duration
}

// list runs one list. The function stores what it has found in a place of its
// own.
func (l *looker) list(what string, do func() error) {
	l.work.Go(func() {
		began := time.Now()
		err := do()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.slowed = max(l.slowed, time.Since(began))
		if err != nil {
			l.errs[what] = err.Error()
		}
	})
}

// observeCluster lists what is in the API, and says how long the slowest list
// took.
func observeCluster(ctx context.Context, c clients, cfg config.Config, server bool) (Cluster, time.Duration) {
	var all Cluster
	l := &looker{clients: c, errs: map[string]string{}}
	if !server {
		ownNode(ctx, l, &all, cfg.Node.Name)
	} else {
		l.list("nodes", func() (err error) {
			all.Nodes, err = c.nodes(ctx)
			return err
		})
		l.list("pods", func() (err error) {
			all.Pods, err = c.pods(ctx, metav1.ListOptions{})
			return err
		})
		l.list("events", func() error {
			list, err := c.kube.CoreV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("type", corev1.EventTypeWarning).String(), Limit: 2000})
			all.Events = items(err, func() []corev1.Event { return list.Items })
			return err
		})
		lists(ctx, l, &all)
		l.list("permissions", func() (err error) {
			all.Denied, err = denials(ctx, c)
			return err
		})
	}
	l.work.Wait()
	all.Errs = l.errs
	return all, l.slowed
}

func items[T any](err error, list func() []T) []T {
	if err != nil {
		return nil
	}
	return list()
}

func (c clients) nodes(ctx context.Context) ([]corev1.Node, error) {
	list, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	return items(err, func() []corev1.Node { return list.Items }), err
}

func (c clients) pods(ctx context.Context, opts metav1.ListOptions) ([]corev1.Pod, error) {
	var all []corev1.Pod
	opts.Limit = pageSize
	for {
		list, err := c.kube.CoreV1().Pods("").List(ctx, opts)
		if err != nil {
			return all, err
		}
		all = append(all, list.Items...)
		if opts.Continue = list.Continue; opts.Continue == "" {
			return all, nil
		}
		if len(all) >= mostPods {
			return all, fmt.Errorf("there are more than %d, of which the first are looked at", mostPods)
		}
	}
}

// ownNode is what a node may see.
func ownNode(ctx context.Context, l *looker, all *Cluster, name string) {
	l.list("nodes", func() error {
		n, err := l.kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			all.Nodes = []corev1.Node{*n}
		}
		return err
	})
	l.list("pods", func() (err error) {
		all.Pods, err = l.pods(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", name).String()})
		return err
	})
}

// lists are those of which each is short.
func lists(ctx context.Context, l *looker, all *Cluster) {
	opts := metav1.ListOptions{}
	l.list("persistentvolumeclaims", func() error {
		list, err := l.kube.CoreV1().PersistentVolumeClaims("").List(ctx, opts)
		if err == nil {
			all.Claims = list.Items
		}
		return err
	})
	l.list("storageclasses", func() error {
		list, err := l.kube.StorageV1().StorageClasses().List(ctx, opts)
		if err == nil {
			all.Classes = list.Items
		}
		return err
	})
	l.list("deployments", func() error {
		list, err := l.kube.AppsV1().Deployments("").List(ctx, opts)
		if err == nil {
			all.Deployments = list.Items
		}
		return err
	})
	l.list("leases", func() error {
		list, err := l.kube.CoordinationV1().Leases(metav1.NamespaceSystem).List(ctx, opts)
		if err == nil {
			all.Leases = list.Items
		}
		return err
	})
	l.list("services", func() error {
		s, err := l.kube.CoreV1().Services(metav1.NamespaceSystem).Get(ctx, "kube-dns", metav1.GetOptions{})
		if err == nil {
			all.DNS = s
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	l.list("endpointslices", func() error {
		list, err := l.kube.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kube-dns"})
		if err == nil {
			all.DNSSlices = list.Items
		}
		return err
	})
	l.list("addons", func() (err error) { all.Addons, err = l.objects(ctx, addonResource); return err })
	l.list("snapshots", func() (err error) { all.Snapshots, err = l.objects(ctx, snapshotResource); return err })
}

func (c clients) objects(ctx context.Context, r schema.GroupVersionResource) ([]unstructured.Unstructured, error) {
	list, err := c.dynamic.Resource(r).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // its definition is not applied yet
	}
	return items(err, func() []unstructured.Unstructured { return list.Items }), err
}

// duties are a few things that parts of the control plane have to be able to do;
// who may do these has the role.
var duties = map[string][]authorizationv1.ResourceAttributes{
	"system:kube-controller-manager": {
		{Verb: "list", Group: "apps", Resource: "deployments"},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
	},
	"system:kube-scheduler": {
		{Verb: "list", Resource: "pods"},
		{Verb: "create", Resource: "pods", Subresource: "binding"},
	},
}

// denials asks what of their duties they may not do.
func denials(ctx context.Context, c clients) (map[string][]string, error) {
	denied := map[string][]string{}
	for user, list := range duties {
		for _, duty := range list {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: []string{"system:authenticated"}, ResourceAttributes: &duty}}
			answer, err := c.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil {
				return nil, err
			}
			if !answer.Status.Allowed {
				what := duty.Resource
				if duty.Subresource != "" {
					what += "/" + duty.Subresource
				}
				denied[user] = append(denied[user], duty.Verb+" "+what)
			}
		}
	}
	return denied, nil
}
