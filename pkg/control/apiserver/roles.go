package apiserver

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	rbac "k8s.io/component-helpers/auth/rbac/reconciliation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// roleWriters is how many roles are written side by side. More than this
// waits for the datastore's single writer anyway.
const roleWriters = 8

// ensureRoles brings the roles that Kubernetes comes with, and kelp's own, to what this
// version wants, by upstream's own rules: users' additions stay. It lists
// what is there once and then writes only what differs; upstream reads each
// of two hundred objects one after another.
//
// Upstream also migrates roles of clusters older than 1.14, which no kelp
// has ever run.
func ensureRoles(ctx context.Context, client kubernetes.Interface) error {
	roles, err := snapshotRoles(ctx, client)
	if err != nil {
		return err
	}
	bindings, err := snapshotBindings(ctx, client)
	if err != nil {
		return err
	}
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(roleWriters)
	for _, role := range wantedRoles() {
		group.Go(func() error {
			opts := rbac.ReconcileRoleOptions{Role: role, Client: roles, Confirm: true}
			return write("role", role.GetName(), func() error { _, err := opts.Run(); return err })
		})
	}
	for _, binding := range wantedBindings() {
		group.Go(func() error {
			opts := rbac.ReconcileRoleBindingOptions{RoleBinding: binding, Client: bindings, Confirm: true}
			return write("role binding", binding.GetName(), func() error { _, err := opts.Run(); return err })
		})
	}
	return group.Wait()
}

func write(kind, name string, try func() error) error {
	err := retry.OnError(retry.DefaultBackoff, func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsServiceUnavailable(err)
	}, try)
	if err != nil {
		return fmt.Errorf("bring %s %s up to date: %w", kind, name, err)
	}
	return nil
}

func wantedRoles() []rbac.RuleOwner {
	var wanted []rbac.RuleOwner
	for _, role := range slices.Concat(kelpRoles(), bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()) {
		wanted = append(wanted, rbac.ClusterRoleRuleOwner{ClusterRole: &role})
	}
	for _, roles := range bootstrappolicy.NamespaceRoles() {
		for _, role := range roles {
			wanted = append(wanted, rbac.RoleRuleOwner{Role: &role})
		}
	}
	return wanted
}

func wantedBindings() []rbac.RoleBinding {
	var wanted []rbac.RoleBinding
	for _, binding := range slices.Concat(kelpBindings(), bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()) {
		wanted = append(wanted, rbac.ClusterRoleBindingAdapter{ClusterRoleBinding: &binding})
	}
	for _, bindings := range bootstrappolicy.NamespaceRoleBindings() {
		for _, binding := range bindings {
			wanted = append(wanted, rbac.RoleBindingAdapter{RoleBinding: &binding})
		}
	}
	return wanted
}

// snapshot answers the first question about each object from a list, and
// leaves all others, after a conflict, to the API. It is safe for
// concurrent use.
type snapshot[T any] struct {
	resource schema.GroupResource
	mu       sync.Mutex
	listed   map[string]T
	asked    map[string]bool
}

func newSnapshot[T any](resource string) snapshot[T] {
	return snapshot[T]{
		resource: schema.GroupResource{Group: "rbac.authorization.k8s.io", Resource: resource},
		listed:   map[string]T{},
		asked:    map[string]bool{},
	}
}

// get returns the object; first is false when the API has to be asked.
func (s *snapshot[T]) get(namespace, name string) (object T, err error, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := namespace + "/" + name
	if s.asked[key] {
		return object, nil, false
	}
	s.asked[key] = true
	object, ok := s.listed[key]
	if !ok {
		return object, apierrors.NewNotFound(s.resource, name), true
	}
	return object, nil, true
}

func list[T any](into *snapshot[T], items []T, key func(T) (namespace, name string)) {
	for _, item := range items {
		namespace, name := key(item)
		into.listed[namespace+"/"+name] = item
	}
}

var everything = metav1.ListOptions{}
