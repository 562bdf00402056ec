package apiserver

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	rbac "k8s.io/component-helpers/auth/rbac/reconciliation"
)

// roleModifier reads and writes roles, of the cluster and of namespaces.
type roleModifier struct {
	snapshot[rbac.RuleOwner]
	cluster    rbac.RuleOwnerModifier
	namespaced rbac.RuleOwnerModifier
}

var _ rbac.RuleOwnerModifier = (*roleModifier)(nil)

func snapshotRoles(ctx context.Context, client kubernetes.Interface) (*roleModifier, error) {
	m := &roleModifier{
		snapshot:   newSnapshot[rbac.RuleOwner]("roles"),
		cluster:    rbac.ClusterRoleModifier{Client: client.RbacV1().ClusterRoles()},
		namespaced: rbac.RoleModifier{Client: client.RbacV1(), NamespaceClient: client.CoreV1().Namespaces()},
	}
	clusterRoles, err := client.RbacV1().ClusterRoles().List(ctx, everything)
	if err != nil {
		return nil, fmt.Errorf("list cluster roles: %w", err)
	}
	roles, err := client.RbacV1().Roles("").List(ctx, everything)
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	var found []rbac.RuleOwner
	for i := range clusterRoles.Items {
		found = append(found, rbac.ClusterRoleRuleOwner{ClusterRole: &clusterRoles.Items[i]})
	}
	for i := range roles.Items {
		found = append(found, rbac.RoleRuleOwner{Role: &roles.Items[i]})
	}
	list(&m.snapshot, found, func(r rbac.RuleOwner) (string, string) { return r.GetNamespace(), r.GetName() })
	return m, nil
}

func (m *roleModifier) of(namespace string) rbac.RuleOwnerModifier {
	if namespace == "" {
		return m.cluster
	}
	return m.namespaced
}

// Get returns a role.
func (m *roleModifier) Get(namespace, name string) (rbac.RuleOwner, error) {
	if role, err, first := m.get(namespace, name); first {
		return role, err
	}
	return m.of(namespace).Get(namespace, name)
}

// Create creates a role, and its namespace if need be.
func (m *roleModifier) Create(r rbac.RuleOwner) (rbac.RuleOwner, error) {
	return m.of(r.GetNamespace()).Create(r)
}

// Update replaces a role.
func (m *roleModifier) Update(r rbac.RuleOwner) (rbac.RuleOwner, error) {
	return m.of(r.GetNamespace()).Update(r)
}

// bindingModifier reads and writes role bindings, of the cluster and of
// namespaces.
type bindingModifier struct {
	snapshot[rbac.RoleBinding]
	cluster    rbac.RoleBindingModifier
	namespaced rbac.RoleBindingModifier
}

var _ rbac.RoleBindingModifier = (*bindingModifier)(nil)

func snapshotBindings(ctx context.Context, client kubernetes.Interface) (*bindingModifier, error) {
	m := &bindingModifier{
		snapshot:   newSnapshot[rbac.RoleBinding]("rolebindings"),
		cluster:    rbac.ClusterRoleBindingClientAdapter{Client: client.RbacV1().ClusterRoleBindings()},
		namespaced: rbac.RoleBindingClientAdapter{Client: client.RbacV1(), NamespaceClient: client.CoreV1().Namespaces()},
	}
	clusterBindings, err := client.RbacV1().ClusterRoleBindings().List(ctx, everything)
	if err != nil {
		return nil, fmt.Errorf("list cluster role bindings: %w", err)
	}
	bindings, err := client.RbacV1().RoleBindings("").List(ctx, everything)
	if err != nil {
		return nil, fmt.Errorf("list role bindings: %w", err)
	}
	var found []rbac.RoleBinding
	for i := range clusterBindings.Items {
		found = append(found, rbac.ClusterRoleBindingAdapter{ClusterRoleBinding: &clusterBindings.Items[i]})
	}
	for i := range bindings.Items {
		found = append(found, rbac.RoleBindingAdapter{RoleBinding: &bindings.Items[i]})
	}
	list(&m.snapshot, found, func(b rbac.RoleBinding) (string, string) { return b.GetNamespace(), b.GetName() })
	return m, nil
}

func (m *bindingModifier) of(namespace string) rbac.RoleBindingModifier {
	if namespace == "" {
		return m.cluster
	}
	return m.namespaced
}

// Get returns a binding.
func (m *bindingModifier) Get(namespace, name string) (rbac.RoleBinding, error) {
	if binding, err, first := m.get(namespace, name); first {
		return binding, err
	}
	return m.of(namespace).Get(namespace, name)
}

// Create creates a binding, and its namespace if need be.
func (m *bindingModifier) Create(b rbac.RoleBinding) (rbac.RoleBinding, error) {
	return m.of(b.GetNamespace()).Create(b)
}

// Update replaces a binding.
func (m *bindingModifier) Update(b rbac.RoleBinding) (rbac.RoleBinding, error) {
	return m.of(b.GetNamespace()).Update(b)
}

// Delete deletes a binding, whose role cannot be changed.
func (m *bindingModifier) Delete(namespace, name string, uid types.UID) error {
	return m.of(namespace).Delete(namespace, name, uid)
}
