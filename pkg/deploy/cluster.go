package deploy

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// fieldManager owns the fields that manifests set.
	fieldManager = "kelp-deploy"
	// inFlight bounds the requests at one time: one start applies about forty
	// objects, and the API server has better things to do beside it.
	inFlight = 8
	// addonNamespace is where Addons are.
	addonNamespace = "kube-system"
)

var addonResource = schema.GroupVersionResource{Group: "kelp.io", Version: "v1", Resource: "addons"}

// api is the cluster as a pass sees it.
type api interface {
	// begin says that a pass begins: what is known of kinds may be old.
	begin()
	// resolve completes an object's namespace and returns its reference; an error
	// says that its kind is not served.
	resolve(o *unstructured.Unstructured) (Ref, error)
	// apply applies one object, completes its namespace, and returns its
	// reference. Safe for concurrent use.
	apply(ctx context.Context, o *unstructured.Unstructured) (Ref, error)
	// remove deletes one object; one that is not there is no error. Safe for
	// concurrent use.
	remove(ctx context.Context, r Ref) error
	// addons returns what is known of each file, by its path.
	addons(ctx context.Context) (map[string]Addon, error)
	// note stores what is about to become of a file, which is no event.
	note(ctx context.Context, a Addon) error
	record(ctx context.Context, a Addon, message string) error
	removeAddon(ctx context.Context, name string) error
}

var _ api = (*cluster)(nil)

// cluster is a real one.
type cluster struct {
	dynamic dynamic.Interface
	kube    kubernetes.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
	slots   chan struct{}

	fresh sync.Once // of one pass: the mapper is reset at most once in it
}

func newCluster(kubeconfig string) (*cluster, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	// The API server's own fairness is the limit.
	cfg.QPS = -1
	cfg.UserAgent = "kelp-deploy"
	// A manifest that is not quite right is told about in warnings; they are
	// the API server's audit's to keep.
	cfg.WarningHandler = rest.NoWarnings{}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	disc, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disc))
	return &cluster{dynamic: dyn, kube: kube, mapper: mapper, slots: make(chan struct{}, inFlight)}, nil
}

func (c *cluster) begin() { c.fresh = sync.Once{} }

// resource finds the client for an object and completes its namespace.
func (c *cluster) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		o.SetNamespace("")
		return c.dynamic.Resource(mapping.Resource), nil
	}
	if o.GetNamespace() == "" {
		o.SetNamespace(metav1.NamespaceDefault)
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
}

// mapping asks what is known of the API, and if the kind is not among that,
// asks the server anew, once per pass: a definition may just have been made.
func (c *cluster) mapping(kind schema.GroupKind, version string) (*meta.RESTMapping, error) {
	mapping, err := c.mapper.RESTMapping(kind, version)
	if meta.IsNoMatchError(err) {
		c.fresh.Do(c.mapper.Reset)
		mapping, err = c.mapper.RESTMapping(kind, version)
	}
	return mapping, err
}

func (c *cluster) resolve(o *unstructured.Unstructured) (Ref, error) {
	_, err := c.resource(o)
	return refOf(o), err
}

// apply applies one object and returns its reference.
func (c *cluster) apply(ctx context.Context, o *unstructured.Unstructured) (Ref, error) {
	r, err := c.resource(o)
	if err != nil {
		return Ref{}, err
	}
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	_, err = r.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return refOf(o), err
}

// remove deletes one object, with what belongs to it. What is not there, or
// whose kind is not there any more, is gone.
func (c *cluster) remove(ctx context.Context, r Ref) error {
	mapping, err := c.mapping(schema.GroupKind{Group: r.Group, Kind: r.Kind}, r.Version)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", r, err)
	}
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	var client dynamic.ResourceInterface = c.dynamic.Resource(mapping.Resource)
	if r.Namespace != "" {
		client = c.dynamic.Resource(mapping.Resource).Namespace(r.Namespace)
	}
	policy := metav1.DeletePropagationBackground
	err = client.Delete(ctx, r.Name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", r, err)
	}
	return nil
}

func refOf(o *unstructured.Unstructured) Ref {
	gvk := o.GroupVersionKind()
	return Ref{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// addons returns what is known of each file from earlier runs.
func (c *cluster) addons(ctx context.Context) (map[string]Addon, error) {
	known := map[string]Addon{}
	list, err := c.dynamic.Resource(addonResource).Namespace(addonNamespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return known, nil // the first start: there is no such kind yet
	}
	if err != nil {
		return nil, fmt.Errorf("list addons: %w", err)
	}
	for i := range list.Items {
		a, err := addonOf(&list.Items[i])
		if err != nil {
			return nil, err
		}
		known[a.File] = a
	}
	return known, nil
}

func (c *cluster) note(ctx context.Context, a Addon) error {
	_, err := c.writeAddon(ctx, a)
	return err
}

// record stores what became of a file, and tells it as an event.
func (c *cluster) record(ctx context.Context, a Addon, message string) error {
	uid, err := c.writeAddon(ctx, a)
	if err != nil {
		return err
	}
	return c.event(ctx, a, uid, string(a.State), message)
}

func (c *cluster) writeAddon(ctx context.Context, a Addon) (types.UID, error) {
	client := c.dynamic.Resource(addonResource).Namespace(addonNamespace)
	o, err := client.Apply(ctx, a.Name, a.object(false), metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return "", fmt.Errorf("write addon %s: %w", a.Name, err)
	}
	if _, err := client.ApplyStatus(ctx, a.Name, a.object(true), metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return "", fmt.Errorf("write addon %s: %w", a.Name, err)
	}
	return o.GetUID(), nil
}

func (c *cluster) removeAddon(ctx context.Context, name string) error {
	err := c.dynamic.Resource(addonResource).Namespace(addonNamespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete addon %s: %w", name, err)
	}
	return nil
}
