package deploy

import (
	"cmp"
	"fmt"
	"slices"
)

// Ref names an object for ever: what the inventory of an Addon holds.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// same tells whether two references mean one object: the version is only the
// form in which it is shown.
func (r Ref) same(other Ref) bool {
	return r.Group == other.Group && r.Kind == other.Kind && r.Namespace == other.Namespace && r.Name == other.Name
}

// String is the object as kubectl names it.
func (r Ref) String() string {
	kind := r.Kind
	if r.Group != "" {
		kind += "." + r.Group
	}
	if r.Namespace == "" {
		return kind + " " + r.Name
	}
	return fmt.Sprintf("%s %s/%s", kind, r.Namespace, r.Name)
}

// phases are the kinds that others need, before all others, and those that
// need others, after them. A kind that is not listed is in between.
var phases = map[string]int{
	"Namespace": 0, "CustomResourceDefinition": 0, "PriorityClass": 0,
	"ServiceAccount": 1, "Role": 1, "ClusterRole": 1, "RoleBinding": 1, "ClusterRoleBinding": 1,
	"ConfigMap": 1, "Secret": 1, "StorageClass": 1, "RuntimeClass": 1, "LimitRange": 1, "ResourceQuota": 1,
	"NetworkPolicy": 1, "PersistentVolume": 1, "PersistentVolumeClaim": 1,
	"Service": 2, "DaemonSet": 3, "Deployment": 3, "StatefulSet": 3, "ReplicaSet": 3, "Pod": 3, "Job": 3, "CronJob": 3,
	"HorizontalPodAutoscaler": 4, "PodDisruptionBudget": 4, "Ingress": 4,
	"ValidatingAdmissionPolicy": 5, "ValidatingAdmissionPolicyBinding": 5,
	"ValidatingWebhookConfiguration": 5, "MutatingWebhookConfiguration": 5, "APIService": 5,
}

// otherPhase is that of kinds that are not listed: custom resources among
// them, which may configure what is started after them.
const otherPhase = 2

const lastPhase = 5

func phaseOf(kind string) int {
	if p, ok := phases[kind]; ok {
		return p
	}
	return otherPhase
}

// inPhases groups indices of references by phase, in the order of phases; in
// reverse for deleting.
func inPhases(refs []Ref, reverse bool) [][]int {
	groups := make([][]int, lastPhase+1)
	for i, r := range refs {
		groups[phaseOf(r.Kind)] = append(groups[phaseOf(r.Kind)], i)
	}
	groups = slices.DeleteFunc(groups, func(g []int) bool { return len(g) == 0 })
	if reverse {
		slices.Reverse(groups)
	}
	return groups
}

// stale returns what was in a file's inventory, is not in the file any more,
// and is not claimed by another file.
func stale(inventory, wanted []Ref, claimed func(Ref) bool) []Ref {
	var gone []Ref
	for _, r := range inventory {
		if !slices.ContainsFunc(wanted, r.same) && !claimed(r) {
			gone = append(gone, r)
		}
	}
	return gone
}

// merge adds to an inventory what is not in it: while a file is broken, or an
// object could not be applied, nothing may be forgotten.
func merge(inventory, more []Ref) []Ref {
	merged := slices.Clone(inventory)
	for _, r := range more {
		if i := slices.IndexFunc(merged, r.same); i >= 0 {
			merged[i] = r
		} else {
			merged = append(merged, r)
		}
	}
	return sorted(merged)
}

// sorted orders references, so that two runs write the same Addon.
func sorted(refs []Ref) []Ref {
	refs = slices.Clone(refs)
	slices.SortFunc(refs, func(a, b Ref) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Group, b.Group))
	})
	return refs
}
