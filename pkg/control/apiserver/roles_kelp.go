package apiserver

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kelpRoles are what kelp's own identities may do beyond what Kubernetes
// grants by itself. A node's pods wait for them, so they are made with
// Kubernetes' own and not with the manifests.
func kelpRoles() []rbacv1.ClusterRole {
	return []rbacv1.ClusterRole{{
		ObjectMeta: metav1.ObjectMeta{Name: "kelp:network"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch", "patch"}},
			{APIGroups: []string{""}, Resources: []string{"nodes/status"}, Verbs: []string{"patch"}},
			// What network policies are about.
			{APIGroups: []string{""}, Resources: []string{"pods", "namespaces"}, Verbs: []string{"list", "watch"}},
			{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"networkpolicies"}, Verbs: []string{"list", "watch"}},
		},
	}, {
		// A node sees whether it is its turn to be upgraded.
		ObjectMeta: metav1.ObjectMeta{Name: "kelp:upgrades"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"kelp.io"}, Resources: []string{"upgrades"}, Verbs: []string{"get", "list", "watch"}}},
	}, {
		// For users to bind to whoever watches over the cluster.
		ObjectMeta: metav1.ObjectMeta{Name: "kelp:monitoring"},
		Rules: []rbacv1.PolicyRule{{
			NonResourceURLs: []string{
				"/v1-kelp/metrics", "/v1-kelp/healthz", "/v1-kelp/healthz/*", "/v1-kelp/livez", "/v1-kelp/livez/*", "/v1-kelp/readyz", "/v1-kelp/readyz/*",
				"/v1-kelp/nodes/*",
			},
			Verbs: []string{"get"},
		}},
	}}
}

func kelpBindings() []rbacv1.ClusterRoleBinding {
	bind := func(name, role, kind, subject string) rbacv1.ClusterRoleBinding {
		return rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: kind, Name: subject}},
		}
	}
	return []rbacv1.ClusterRoleBinding{
		bind("kelp:kubelet-client", "system:kubelet-api-admin", rbacv1.GroupKind, "kelp:kubelet-client"),
		bind("kelp:network", "kelp:network", rbacv1.UserKind, "system:kelp:network"),
		bind("kelp:upgrades", "kelp:upgrades", rbacv1.GroupKind, "system:nodes"),
		bind("kelp:monitoring", "kelp:monitoring", rbacv1.GroupKind, "system:monitoring"),
	}
}
