package control_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
`

// Namespaces that are named here must refuse privileged pods.
const admission = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline}
    exemptions: {namespaces: [kube-system]}
`

const schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
- schedulerName: packed
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}
`

// addUserFiles gives the components files and gates of a user's.
func addUserFiles(t testing.TB, cfg *config.Config) {
	t.Helper()
	file := func(name, text string) string {
		path := filepath.Join(cfg.DataDir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cfg.Args.APIServer = append(cfg.Args.APIServer,
		"audit-policy-file="+file("audit.yaml", auditPolicy),
		"audit-log-path="+filepath.Join(cfg.DataDir, "audit.log"),
		"admission-control-config-file="+file("admission.yaml", admission),
	)
	cfg.Args.ControllerManager = append(cfg.Args.ControllerManager, "feature-gates=WatchListClient=false")
	cfg.Args.Scheduler = append(cfg.Args.Scheduler, "config="+file("scheduler.yaml", schedulerConfig))
}

func userFilesApply(t testing.TB, p *plane, cfg config.Config, client kubernetes.Interface) {
	t.Helper()
	if utilfeature.DefaultFeatureGate.Enabled("WatchListClient") {
		t.Error("the user's feature gate is not set")
	}
	log, err := os.ReadFile(filepath.Join(cfg.DataDir, "audit.log"))
	if err != nil || !strings.Contains(string(log), `"kind":"Event"`) {
		t.Errorf("the audit log: %d bytes, %v", len(log), err)
	}
	pod := func(name string, privileged bool) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PodSpec{
				SchedulerName: "packed",
				Containers: []corev1.Container{{
					Name: "c", Image: "kelp.local/none:1", SecurityContext: &corev1.SecurityContext{Privileged: &privileged},
				}},
			},
		}
	}
	_, err = client.CoreV1().Pods("default").Create(p.ctx, pod("privileged", true), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("a privileged pod against the user's AdmissionConfiguration: %v", err)
	}
	if _, err := client.CoreV1().Pods("default").Create(p.ctx, pod("packed", false), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.ready("second profile", func(ctx context.Context) error {
		got, err := client.CoreV1().Pods("default").Get(ctx, "packed", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range got.Status.Conditions {
			if c.Type == corev1.PodScheduled && strings.Contains(c.Message, "no nodes available") {
				return nil
			}
		}
		return errors.New("the profile of the user's file has not looked at the pod")
	})
}

// strangers may see whether the API is well, and nothing else.
func strangers(t testing.TB, cfg config.Config, paths config.Paths) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(pki.AuthorityFiles(paths, pki.ServerCA).Cert))(t))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{
		"/readyz": 200, "/livez": 200, "/healthz": 200, "/ping": 200, "/cacerts": 200,
		"/version": 401, "/api/v1/pods": 401, "/readyz/etcd": 401, "/metrics": 401,
	} {
		resp := must(client.Get(fmt.Sprintf("https://127.0.0.1:%d%s", cfg.API.HTTPSPort, path)))(t)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("a stranger's request for %s is answered %s, want %d", path, resp.Status, want)
		}
	}
}
