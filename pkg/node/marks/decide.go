package marks

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// annotation is where a Node holds what was configured last.
const annotation = "kelp.io/configured"

// Marks are labels (key=value) and taints (key=value:effect) as they are
// configured.
type Marks struct {
	Labels []string `json:"labels,omitempty"`
	Taints []string `json:"taints,omitempty"`
}

func (m Marks) text() string {
	sorted := Marks{slices.Sorted(slices.Values(m.Labels)), slices.Sorted(slices.Values(m.Taints))}
	text, _ := json.Marshal(sorted) // strings always can be
	return string(text)
}

// decide returns the node as it is to be, and whether that is another than it is.
// A node of which nothing is noted, or nothing that can be read, was registered
// with what is wanted.
func decide(node *corev1.Node, want Marks) (*corev1.Node, bool) {
	noted := node.Annotations[annotation]
	if noted == want.text() {
		return node, false
	}
	var had Marks
	if json.Unmarshal([]byte(noted), &had) != nil {
		had = want
	}
	next := node.DeepCopy()
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	next.Annotations[annotation] = want.text()
	labels(next, had.Labels, want.Labels)
	taints(next, had.Taints, want.Taints)
	return next, true
}

func labels(node *corev1.Node, had, want []string) {
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	for _, l := range had {
		if key, value, _ := strings.Cut(l, "="); !slices.Contains(want, l) && node.Labels[key] == value {
			delete(node.Labels, key)
		}
	}
	for _, l := range want {
		if key, value, _ := strings.Cut(l, "="); !slices.Contains(had, l) {
			node.Labels[key] = value
		}
	}
}

func taints(node *corev1.Node, had, want []string) {
	for _, text := range had {
		if gone := taint(text); !slices.Contains(want, text) {
			node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&gone) && t.Value == gone.Value })
		}
	}
	for _, text := range want {
		if slices.Contains(had, text) {
			continue
		}
		t := taint(text)
		i := slices.IndexFunc(node.Spec.Taints, func(o corev1.Taint) bool { return o.MatchTaint(&t) })
		if i < 0 {
			node.Spec.Taints = append(node.Spec.Taints, t)
		} else {
			node.Spec.Taints[i] = t
		}
	}
}

// taint reads key=value:effect, which the configuration has checked.
func taint(text string) corev1.Taint {
	i := strings.LastIndex(text, ":")
	key, value, _ := strings.Cut(text[:max(i, 0)], "=")
	return corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(text[i+1:])}
}
