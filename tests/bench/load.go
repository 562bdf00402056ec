package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rest measures what the idle system takes.
func (m *subject) rest(ctx context.Context, f *Figures) error {
	revision, err := m.revision(ctx)
	if err != nil {
		return err
	}
	before, err := m.processes(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, m.idle); err != nil {
		return err
	}
	after, err := m.processes(ctx)
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	f.Daemons, f.Shims, f.Pods = usage(before, after, took)
	later, err := m.revision(ctx)
	if err != nil {
		return err
	}
	f.DatastoreWrites = float64(later-revision) / took
	return nil
}

// revision is the datastore's: it grows by one with each write.
func (m *subject) revision(ctx context.Context) (int64, error) {
	list, err := m.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("read the datastore's revision: %w", err)
	}
	revision, err := strconv.ParseInt(list.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse the datastore's revision: %w", err)
	}
	return revision, nil
}

// writeInterval makes 20 writes per second.
const writeInterval = time.Second / 20

func (m *subject) writes20(ctx context.Context, f *Figures) error {
	took, err := m.write(ctx, "write")
	f.WriteP50, f.WriteP99 = percentile(took, 50), percentile(took, 99)
	return err
}

// write creates and updates ConfigMaps at a steady rate and returns the time of
// each write.
func (m *subject) write(ctx context.Context, prefix string) ([]time.Duration, error) {
	maps := m.client.CoreV1().ConfigMaps("default")
	object := &corev1.ConfigMap{Data: map[string]string{"payload": string(make([]byte, 512))}}
	took := make([]time.Duration, 0, m.writes)
	tick := time.NewTicker(writeInterval)
	defer tick.Stop()
	for i := range m.writes {
		<-tick.C
		var err error
		began := time.Now()
		if i%2 == 0 {
			object.ObjectMeta = metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", prefix, i)}
			object, err = maps.Create(ctx, object, metav1.CreateOptions{})
		} else {
			object.Data["again"] = "yes"
			object, err = maps.Update(ctx, object, metav1.UpdateOptions{})
		}
		if err != nil {
			return nil, fmt.Errorf("write number %d: %w", i, err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// percentile is of times, in milliseconds.
func percentile(took []time.Duration, percent int) float64 {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*percent/100].Seconds() * 1000
}

// fortyPods takes the time from the apply of a Deployment to its last pod's
// being ready.
func (m *subject) fortyPods(ctx context.Context, f *Figures) error {
	const pods = int32(40)
	replicas, labels := pods, map[string]string{"app": "forty"}
	spec := webPod()
	spec.Containers[0].Args = []string{"serve", "8080"}
	began := time.Now()
	deployments := m.client.AppsV1().Deployments("default")
	_, err := deployments.Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "forty"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create forty pods: %w", err)
	}
	f.FortyPods, err = since(ctx, began, "forty pods are ready", func(ctx context.Context) error {
		d, err := deployments.Get(ctx, "forty", metav1.GetOptions{})
		if err == nil && d.Status.ReadyReplicas < pods {
			return fmt.Errorf("%d are", d.Status.ReadyReplicas)
		}
		return err
	})
	return err
}
