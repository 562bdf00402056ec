package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// watched are the cluster's pods and namespaces.
type watched struct {
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	stop       func()
}

// living leaves out pods that have ended: their addresses may be others' now.
const living = "status.phase!=Succeeded,status.phase!=Failed"

// watch begins to watch, and returns when everything has been listed.
func watch(ctx context.Context, client kubernetes.Interface, e *Enforcer) (*watched, error) {
	ctx, cancel := context.WithCancel(ctx)
	namespaces := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(strip))
	pods := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = living }))
	w := &watched{pods: pods.Core().V1().Pods().Lister(), namespaces: namespaces.Core().V1().Namespaces().Lister()}
	w.stop = func() {
		cancel()
		pods.Shutdown()
		namespaces.Shutdown()
	}
	_, err := pods.Core().V1().Pods().Informer().AddEventHandler(e.onChange(samePod))
	if err == nil {
		_, err = namespaces.Core().V1().Namespaces().Informer().AddEventHandler(e.onChange(sameLabels))
	}
	if err != nil {
		w.stop()
		return nil, fmt.Errorf("watch pods and namespaces: %w", err)
	}
	pods.Start(ctx.Done())
	namespaces.Start(ctx.Done())
	for _, synced := range []map[reflect.Type]bool{pods.WaitForCacheSync(ctx.Done()), namespaces.WaitForCacheSync(ctx.Done())} {
		for _, ok := range synced {
			if !ok {
				w.stop()
				return nil, errors.New("stopped while pods and namespaces were listed")
			}
		}
	}
	return w, nil
}

// onChange tells the enforcer of what has changed, unless same says that it is
// nothing.
func (e *Enforcer) onChange(same func(a, b any) bool) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { e.changed() },
		UpdateFunc: func(a, b any) {
			if same == nil || !same(a, b) {
				e.changed()
			}
		},
		DeleteFunc: func(any) { e.changed() },
	}
}

func sameLabels(a, b any) bool {
	x, errX := meta.Accessor(a)
	y, errY := meta.Accessor(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x.GetLabels(), y.GetLabels())
}

func samePod(a, b any) bool {
	x, isX := a.(*corev1.Pod)
	y, isY := b.(*corev1.Pod)
	return isX && isY && sameLabels(x, y) && reflect.DeepEqual(x.Status, y.Status) && reflect.DeepEqual(x.Spec, y.Spec)
}

// strip takes away what nobody here reads.
func strip(o any) (any, error) {
	if accessor, err := meta.Accessor(o); err == nil {
		accessor.SetManagedFields(nil)
		accessor.SetAnnotations(nil)
	}
	return o, nil
}

// slim leaves of a pod what policies are about: a thousandth of it.
func slim(o any) (any, error) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion, Labels: p.Labels},
		Spec:       corev1.PodSpec{NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork},
		Status:     corev1.PodStatus{PodIPs: p.Status.PodIPs},
	}
	var ports []corev1.ContainerPort
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for _, c := range list {
			for _, port := range c.Ports {
				if port.Name != "" {
					ports = append(ports, corev1.ContainerPort{Name: port.Name, Protocol: port.Protocol, ContainerPort: port.ContainerPort})
				}
			}
		}
	}
	if len(ports) > 0 {
		kept.Spec.Containers = []corev1.Container{{Ports: ports}}
	}
	return kept, nil
}

func (w *watched) namespaceLabels() map[string]map[string]string {
	list, err := w.namespaces.List(labels.Everything())
	if err != nil {
		return nil // a lister of a cache has no errors
	}
	found := make(map[string]map[string]string, len(list))
	for _, n := range list {
		found[n.Name] = n.Labels
	}
	return found
}

// podsOf are all pods that have an address of their own; those on the node are
// marked as local.
func (w *watched) podsOf(node string) []Pod {
	list, err := w.pods.List(labels.Everything())
	if err != nil {
		return nil // as above
	}
	var found []Pod
	for _, p := range list {
		if p.Spec.HostNetwork {
			continue
		}
		pod := Pod{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Local: p.Spec.NodeName == node}
		for _, a := range p.Status.PodIPs {
			if ip, err := netip.ParseAddr(a.IP); err == nil {
				pod.IPs = append(pod.IPs, ip)
			}
		}
		for _, c := range p.Spec.Containers {
			for _, port := range c.Ports {
				pod.Ports = append(pod.Ports, Port{Name: port.Name, Protocol: port.Protocol, Number: port.ContainerPort})
			}
		}
		found = append(found, pod)
	}
	return found
}
