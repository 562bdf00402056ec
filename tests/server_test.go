//go:build e2e

package tests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/tests/hosts"
)

// Where things are on a host with the default configuration.
const (
	dataDir      = "/var/lib/kelp"
	imagesDir    = dataDir + "/images"
	manifestsDir = dataDir + "/server/manifests"
	kubeconfig   = "/etc/kelp/kubeconfig.yaml"
)

// The bounds of waits. Each is several times what the wait takes on an idle
// machine of two cores.
const (
	soon   = 30 * time.Second // what kelp promises within seconds
	podUp  = 60 * time.Second // an image is there: schedule, create, start, probe
	ready  = 90 * time.Second // a server with all it packages
	volume = 60 * time.Second // local-path starts a pod for each volume
)

// server is a host with kelp installed.
type server struct {
	*hosts.Host
}

// boot boots a host with kelp installed as a server and not started.
func boot(ctx context.Context, spec hosts.Spec, config string) (*server, error) {
	return bootAs(ctx, spec, "server", config)
}

func bootAs(ctx context.Context, spec hosts.Spec, command, config string) (*server, error) {
	spec.Bind = map[string]string{hosts.KelpPath: lab.binary}
	h, err := lab.lab.Boot(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &server{h}, h.InstallKelp(ctx, command, config)
}

// ownServer boots a host for one test, with kelp installed and not started.
func ownServer(t *testing.T, spec hosts.Spec, config string) *server {
	t.Helper()
	return ownHost(t, spec, "server", config)
}

// ownHost is ownServer for either command.
func ownHost(t *testing.T, spec hosts.Spec, command, config string) *server {
	t.Helper()
	s, err := bootAs(t.Context(), spec, command, config)
	if s != nil {
		s.stopAfter(t)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CopyIn(t.Context(), lab.archive, imagesDir+"/web.tar"); err != nil {
		t.Fatal(err)
	}
	return s
}

// stopAfter ends the host with the test, and tells of it where that has failed.
func (s *server) stopAfter(t *testing.T) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	s.dumpOnFailure(t)
}

func (s *server) dumpOnFailure(t *testing.T) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		var dump bytes.Buffer
		s.Dump(ctx, &dump)
		t.Log(dump.String())
	})
}

// start starts kelp and fails the test when it does not become ready.
func (s *server) start(t *testing.T) time.Duration {
	t.Helper()
	took, err := s.StartKelp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return took
}

// stopKelp stops kelp as systemd does and returns how long that took.
func (s *server) stopKelp(t *testing.T) time.Duration {
	t.Helper()
	took, err := s.StopKelp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return took
}

// run runs a script in the host and fails the test when it fails.
func (s *server) run(t *testing.T, script string) string {
	t.Helper()
	out, err := s.Shell(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// kubectl runs kelp kubectl and fails the test when it fails.
func (s *server) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// apply applies manifests through kubectl.
func (s *server) apply(t *testing.T, manifests string) {
	t.Helper()
	if _, err := s.RunInput(t.Context(), manifests, hosts.KelpPath, "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// makeNamespace makes a namespace in which pods can be made.
func (s *server) makeNamespace(t *testing.T, name string) {
	t.Helper()
	s.kubectl(t, "create", "namespace", name)
	hosts.Eventually(t, soon, "namespace "+name+" has its service account", func(ctx context.Context) error {
		_, err := s.client(t).CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// namespace makes a namespace for the test, which is deleted with it.
func (s *server) namespace(t *testing.T, name string) string {
	t.Helper()
	s.makeNamespace(t, name)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if _, err := s.Kubectl(ctx, "delete", "namespace", name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	return name
}

// restConfig is the administrator's, over connections from inside the host.
func (s *server) restConfig(t *testing.T) *rest.Config {
	t.Helper()
	text, err := s.ReadFile(t.Context(), kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
	if err != nil {
		t.Fatalf("parse the administrator's kubeconfig: %v", err)
	}
	config.Dial = s.Dial
	config.QPS = -1
	return config
}

// client is the administrator's client.
func (s *server) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(s.restConfig(t))
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	return client
}

// node returns the server's only node.
func (s *server) node(t *testing.T) *corev1.Node {
	t.Helper()
	nodes, err := s.client(t).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 1 {
		t.Fatalf("want one node, have %v, %v", nodes, err)
	}
	return &nodes.Items[0]
}

func nodeReady(node *corev1.Node) error {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		} else if c.Type == corev1.NodeReady {
			return fmt.Errorf("node is not ready: %s: %s", c.Reason, c.Message)
		}
	}
	return errors.New("node has no Ready condition")
}

// awaitDeployments waits until so many Deployments of a namespace, or more,
// and every one of them, have all replicas available.
func (s *server) awaitDeployments(t *testing.T, namespace string, atLeast int, limit time.Duration) {
	t.Helper()
	client := s.client(t)
	hosts.Eventually(t, limit, "deployments in "+namespace+" are available", func(ctx context.Context) error {
		list, err := client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) < atLeast {
			return fmt.Errorf("%d deployments, want %d", len(list.Items), atLeast)
		}
		for i := range list.Items {
			if err := available(&list.Items[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func available(d *appsv1.Deployment) error {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	if d.Status.ObservedGeneration < d.Generation || d.Status.AvailableReplicas < want || d.Status.UpdatedReplicas < want {
		return fmt.Errorf("deployment %s: %d of %d available", d.Name, d.Status.AvailableReplicas, want)
	}
	return nil
}

// awaitPod waits until a pod of the selector is ready and returns it.
func (s *server) awaitPod(t *testing.T, namespace, selector string, limit time.Duration) *corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	client := s.client(t)
	hosts.Eventually(t, limit, "a pod of "+namespace+"/"+selector+" is ready", func(ctx context.Context) error {
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			if podReady(&pods.Items[i]) {
				found = &pods.Items[i]
				return nil
			}
		}
		return fmt.Errorf("none of %d pods is ready", len(pods.Items))
	})
	return found
}

// awaitPodNamed waits until the very pod is ready.
func (s *server) awaitPodNamed(t *testing.T, namespace, name string, limit time.Duration) *corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	client := s.client(t)
	hosts.Eventually(t, limit, "pod "+namespace+"/"+name+" is ready", func(ctx context.Context) (err error) {
		if found, err = client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{}); err == nil && !podReady(found) {
			err = errors.New("it is not ready")
		}
		return err
	})
	return found
}

func podReady(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// awaitPage waits until url answers with the application's page, asked for
// through dial.
func awaitPage(t *testing.T, limit time.Duration, dial func(context.Context, string, string) (net.Conn, error), url string) {
	t.Helper()
	hosts.Eventually(t, limit, "the page answers at "+url, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		body, err := hosts.Get(ctx, dial, url)
		if err == nil && !strings.HasPrefix(body, "hello from ") {
			return fmt.Errorf("got %q", body)
		}
		return err
	})
}

func specNamed(name string) hosts.Spec { return hosts.Spec{Name: name} }

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// contextOf is the test's context for its clean-up, when the test's own has ended.
func contextOf(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }
