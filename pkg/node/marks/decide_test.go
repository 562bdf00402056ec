package marks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func list(text string) []string { return strings.Fields(text) }

// TestDecide goes by what was configured last, and leaves alone what others have
// done.
func TestDecide(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		labels, taints         string // of the node
		noted                  *Marks
		wantLabels, wantTaints string // configured
		labelsAfter, taintsOf  string
	}{
		"just registered": {"a=1", "k=v:NoSchedule", nil, "a=1", "k=v:NoSchedule", "a=1", "k=v:NoSchedule"},
		"a bootstrap taint that another has removed is not put back": {
			"a=1", "", nil, "a=1", "k=v:NoSchedule", "a=1", "",
		},
		"added":       {"theirs=1", "t=:NoExecute", &Marks{}, "a=1 b=", "k=v:NoSchedule", "a=1 b= theirs=1", "k=v:NoSchedule t=:NoExecute"},
		"removed":     {"a=1 theirs=1", "k=v:NoSchedule t=:NoExecute", &Marks{list("a=1"), list("k=v:NoSchedule")}, "", "", "theirs=1", "t=:NoExecute"},
		"new values":  {"a=1", "k=v:NoSchedule", &Marks{list("a=1"), list("k=v:NoSchedule")}, "a=2", "k=w:NoSchedule", "a=2", "k=w:NoSchedule"},
		"new effect":  {"", "k=v:NoSchedule", &Marks{nil, list("k=v:NoSchedule")}, "", "k=v:NoExecute", "", "k=v:NoExecute"},
		"overwritten": {"a=9", "k=z:NoSchedule", &Marks{list("a=1"), list("k=v:NoSchedule")}, "", "", "a=9", "k=z:NoSchedule"},
		"taken away by hand, and not the setting that changes": {
			"", "", &Marks{list("a=1"), list("k=v:NoSchedule")}, "a=1 b=2", "k=v:NoSchedule", "b=2", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}}}
			for _, l := range list(c.labels) {
				key, value, _ := strings.Cut(l, "=")
				node.Labels[key] = value
			}
			for _, text := range list(c.taints) {
				node.Spec.Taints = append(node.Spec.Taints, taint(text))
			}
			if c.noted != nil {
				node.Annotations = map[string]string{annotation: c.noted.text()}
			}
			want := Marks{list(c.wantLabels), list(c.wantTaints)}
			next, differs := decide(node, want)
			if !differs {
				t.Fatal("there is nothing to do")
			}
			var labels, taints []string
			for _, key := range slices.Sorted(maps.Keys(next.Labels)) {
				labels = append(labels, key+"="+next.Labels[key])
			}
			for _, x := range next.Spec.Taints {
				taints = append(taints, fmt.Sprintf("%s=%s:%s", x.Key, x.Value, x.Effect))
			}
			slices.Sort(taints)
			if got := strings.Join(labels, " "); got != c.labelsAfter {
				t.Errorf("labels %q, want %q", got, c.labelsAfter)
			}
			if got := strings.Join(taints, " "); got != c.taintsOf {
				t.Errorf("taints %q, want %q", got, c.taintsOf)
			}
			slices.Reverse(want.Labels)
			if _, again := decide(next, want); again {
				t.Error("there is more to do")
			}
		})
	}
}
