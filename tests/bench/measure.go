package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/tests/hosts"
)

// Figures are what was measured of one system. Times are in seconds since
// systemd was asked to start it.
type Figures struct {
	System        string  `json:"system"`
	APIReady      float64 `json:"apiReadySeconds"`
	NodeReady     float64 `json:"nodeReadySeconds"`
	FirstPod      float64 `json:"firstPodRunningSeconds"`
	PackagedReady float64 `json:"packagedReadySeconds,omitempty"`
	RestartReady  float64 `json:"restartReadySeconds"`
	Failures      int     `json:"processesThatFailedWhileStarting"`

	Daemons Usage `json:"daemons"` // the process, or the separate processes
	Shims   Usage `json:"shims"`   // containerd's shims
	Pods    Usage `json:"pods"`    // the packaged components' containers

	DatastoreWrites float64 `json:"datastoreWritesPerSecondIdle"`
	FortyPods       float64 `json:"fortyPodsReadySeconds"`
	WriteP50        float64 `json:"apiWriteP50Milliseconds"`
	WriteP99        float64 `json:"apiWriteP99Milliseconds"`

	Snapshot    float64 `json:"snapshotOf100MBSeconds,omitempty"`
	FilledP99   float64 `json:"apiWriteP99With100MBMilliseconds,omitempty"`
	SnapshotP99 float64 `json:"apiWriteP99DuringSnapshotMilliseconds,omitempty"`
}

// subject is a system on its host while it is measured.
type subject struct {
	*bench
	system system
	host   *hosts.Host
	client kubernetes.Interface
}

// stepLimit bounds each wait.
const stepLimit = 5 * time.Minute

func (b *bench) measure(ctx context.Context, name string) (f Figures, err error) {
	f.System = name
	s, err := systemOf(name)
	if err != nil {
		return f, err
	}
	h, err := b.lab.Boot(ctx, hosts.Spec{Name: name, Bind: map[string]string{hosts.KelpPath: b.kelp}})
	if err != nil {
		return f, err
	}
	defer func() {
		if err != nil {
			h.Dump(ctx, os.Stderr)
			for _, u := range s.units() {
				out, _ := h.Run(ctx, "journalctl", "-n", "20", "--no-pager", "-u", u)
				fmt.Fprintln(os.Stderr, out)
			}
		}
		err = errors.Join(err, h.Stop(ctx))
	}()
	if err := s.install(ctx, b, h); err != nil {
		return f, err
	}
	m := &subject{bench: b, system: s, host: h}
	if err := m.start(ctx, &f); err != nil {
		return f, err
	}
	for _, step := range []struct {
		name    string
		measure func(context.Context, *Figures) error
	}{{"idle", m.rest}, {"writes", m.writes20}, {"pods", m.fortyPods}, {"restart", m.restart}, {"snapshot", m.snapshot}} {
		if !slices.Contains(b.steps, step.name) {
			continue
		}
		if err := step.measure(ctx, &f); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (m *subject) systemctl(ctx context.Context, args ...string) error {
	_, err := m.host.Run(ctx, append([]string{"systemctl"}, args...)...)
	return err
}

// unit is the one that starts all.
func (m *subject) unit() string { u := m.system.units(); return u[len(u)-1] }

// since waits for a condition and returns the seconds since began.
func since(ctx context.Context, began time.Time, what string, try func(context.Context) error) (float64, error) {
	if err := hosts.Until(ctx, stepLimit, try); err != nil {
		return 0, fmt.Errorf("wait until %s: %w", what, err)
	}
	return time.Since(began).Seconds(), nil
}

func (m *subject) start(ctx context.Context, f *Figures) error {
	began := time.Now()
	if err := m.systemctl(ctx, "start", "--no-block", m.unit()); err != nil {
		return err
	}
	var err error
	if f.APIReady, err = since(ctx, began, "the API is ready", m.apiReady); err != nil {
		return err
	}
	// The first pod is there as soon as the API is: it waits for its namespace's
	// service account and for the node, as a user's would.
	podUp := make(chan error, 1)
	go func() {
		var err error
		f.FirstPod, err = since(ctx, began, "the first pod runs", m.firstPod)
		podUp <- err
	}()
	f.NodeReady, err = since(ctx, began, "the node is ready", m.nodeReady(time.Time{}))
	if err := errors.Join(err, <-podUp); err != nil {
		return err
	}
	if m.system.packaged() > 0 {
		f.PackagedReady, err = since(ctx, began, "the packaged components are ready", m.packagedReady)
	}
	if err != nil {
		return err
	}
	if f.Failures, err = m.failures(ctx); err != nil {
		return err
	}
	now := int64(0)
	err = m.client.CoreV1().Pods("default").Delete(ctx, "first", metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil {
		return fmt.Errorf("delete the first pod: %w", err)
	}
	return pause(ctx, time.Until(began.Add(m.settle)))
}

// failures counts how often systemd had to start a unit anew.
func (m *subject) failures(ctx context.Context) (int, error) {
	total := 0
	for _, u := range m.system.units() {
		out, err := m.host.Run(ctx, "systemctl", "show", "--property=NRestarts", "--value", u)
		if err != nil {
			return 0, err
		}
		if n, err := strconv.Atoi(strings.TrimSpace(out)); err == nil { // a target has none
			total += n
		}
	}
	return total, nil
}

// pause is not a wait for something: the time itself is what is wanted.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *subject) apiReady(ctx context.Context) error {
	if m.client == nil {
		c, _, err := client(ctx, m.host, m.system)
		if err != nil {
			return err
		}
		m.client = c
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := m.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

// nodeReady tells whether the node is Ready and, where a state from before a
// restart must not count, its kubelet has renewed its lease since.
func (m *subject) nodeReady(since time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		node, err := m.client.CoreV1().Nodes().Get(ctx, m.host.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if since.IsZero() { // a new node: nobody else can have said that it is Ready
			return conditionReady(node)
		}
		lease, err := m.client.CoordinationV1().Leases("kube-node-lease").Get(ctx, m.host.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Time.Before(since) {
			return errors.New("the kubelet has not renewed its lease")
		}
		return conditionReady(node)
	}
}

func conditionReady(node *corev1.Node) error {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("the node is not ready")
}

func (m *subject) firstPod(ctx context.Context) error {
	pods := m.client.CoreV1().Pods("default")
	pod, err := pods.Get(ctx, "first", metav1.GetOptions{})
	if err != nil {
		_, createErr := pods.Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "first"}, Spec: webPod(),
		}, metav1.CreateOptions{})
		return errors.Join(err, createErr)
	}
	if pod.Status.Phase != corev1.PodRunning {
		return fmt.Errorf("the pod is %s", pod.Status.Phase)
	}
	return nil
}

func webPod() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: webImage, ImagePullPolicy: corev1.PullNever}}}
}

func (m *subject) packagedReady(ctx context.Context) error {
	list, err := m.client.AppsV1().Deployments("kube-system").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var waiting []string
	for _, d := range list.Items {
		if d.Status.AvailableReplicas < 1 {
			waiting = append(waiting, d.Name)
		}
	}
	if len(list.Items) < m.system.packaged() || len(waiting) > 0 {
		return fmt.Errorf("%d deployments, waiting for %s", len(list.Items), strings.Join(waiting, ", "))
	}
	return nil
}

// restart stops and starts the system with the forty pods running.
func (m *subject) restart(ctx context.Context, f *Figures) error {
	units := m.system.units()
	if err := m.systemctl(ctx, append([]string{"stop"}, units...)...); err != nil {
		return err
	}
	began := time.Now()
	if err := m.systemctl(ctx, "start", "--no-block", m.unit()); err != nil {
		return err
	}
	if _, err := since(ctx, began, "the API is ready again", m.apiReady); err != nil {
		return err
	}
	var err error
	f.RestartReady, err = since(ctx, began, "the node is ready again", m.nodeReady(began))
	return err
}
