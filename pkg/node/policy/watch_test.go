package policy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/pkg/config"
)

func testConfig() config.Config {
	cfg := config.Default()
	cfg.Node.Name = "node-1"
	return cfg
}

func TestSlimPodsDifferInWhatMatters(t *testing.T) {
	t.Parallel()
	pod := func(change func(*corev1.Pod)) any {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"much": "text"}},
			Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{
				Image: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80, Protocol: corev1.ProtocolTCP}, {ContainerPort: 81}},
			}}},
			Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.42.0.2"}}},
		}
		change(p)
		slimmed, err := slim(p)
		if err != nil {
			t.Fatal(err)
		}
		return slimmed
	}
	was := pod(func(*corev1.Pod) {})
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		same   bool
	}{
		"readiness":    {func(p *corev1.Pod) { p.Status.Phase, p.ResourceVersion = corev1.PodRunning, "2" }, true},
		"image":        {func(p *corev1.Pod) { p.Spec.Containers[0].Image = "web:2" }, true},
		"unnamed port": {func(p *corev1.Pod) { p.Spec.Containers[0].Ports[1].ContainerPort = 82 }, true},
		"labels":       {func(p *corev1.Pod) { p.Labels = nil }, false},
		"address":      {func(p *corev1.Pod) { p.Status.PodIPs = nil }, false},
		"node":         {func(p *corev1.Pod) { p.Spec.NodeName = "" }, false},
		"named port":   {func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = 8080 }, false},
	} {
		if got := samePod(was, pod(c.change)); got != c.same {
			t.Errorf("%s: same is %v", name, got)
		}
	}
}
