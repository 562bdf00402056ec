//go:build e2e

package tests

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// appManifest is a Deployment and a Service in a namespace of its own. The
// arguments are the namespace, the Service's type and its port.
const appManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: ` + webImage + `
        imagePullPolicy: Never
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s}
spec:
  type: %[2]s
  selector: {app: web}
  ports: [{port: %[3]d, targetPort: 8080}]
`

// A file in the manifests directory, with an image from the images directory,
// becomes an application that answers in every way that Kubernetes offers.
func TestDeployAnAppFromTheManifestsDirectory(t *testing.T) {
	s := cluster(t)
	file := manifestsDir + "/shop/web.yaml"
	if err := s.WriteFile(t.Context(), file, fmt.Sprintf(appManifest, "shop", "LoadBalancer", 8088)); err != nil {
		t.Fatal(err)
	}
	pod := s.awaitPod(t, "shop", "app=web", podUp)
	service := func(path string) string {
		return s.kubectl(t, "-n", "shop", "get", "service", "web", "-o", "jsonpath={"+path+"}")
	}
	hosts.Eventually(t, soon, "the load balancer has the node's address", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "-n", "shop", "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}")
		if err == nil && out != s.Address {
			return fmt.Errorf("addresses are %q, want %s", out, s.Address)
		}
		return err
	})
	clusterIP, nodePort := service(".spec.clusterIP"), service(".spec.ports[0].nodePort")
	awaitPage(t, soon, s.Dial, "http://"+clusterIP+":8088/")
	awaitPage(t, soon, s.Dial, "http://"+pod.Status.PodIP+":8080/")
	awaitPage(t, soon, s.Dial, "http://"+s.Address+":8088/")
	awaitPage(t, soon, lab.lab.Dial, "http://"+s.Address+":8088/")
	awaitPage(t, soon, lab.lab.Dial, "http://"+s.Address+":"+nodePort+"/")

	s.awaitDeployments(t, "kube-system", 3, ready)
	for _, name := range []string{"web", "web.shop", "web.shop.svc.cluster.local"} {
		hosts.Eventually(t, soon, "the page answers in a pod as "+name, func(ctx context.Context) error {
			out, err := s.Kubectl(ctx, "-n", "shop", "exec", pod.Name, "--", "web", "get", "http://"+name+":8088/")
			if err == nil && !strings.HasPrefix(out, "hello from web-") {
				return fmt.Errorf("got %q", out)
			}
			return err
		})
	}

	if _, err := s.Run(t.Context(), "rm", file); err != nil {
		t.Fatal(err)
	}
	hosts.Eventually(t, podUp, "the application goes with its file", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "namespace", "shop", "--ignore-not-found")
		if err == nil && out != "" {
			return fmt.Errorf("still there: %s", out)
		}
		return err
	})
}

// An archive that is dropped while kelp runs is imported without a restart.
func TestDropAnImageArchiveWhileRunning(t *testing.T) {
	s := cluster(t)
	const reference = "example.test/late:2"
	archive := lab.lab.Dir + "/late.tar"
	if err := hosts.WriteArchive(archive, reference, lab.image); err != nil {
		t.Fatal(err)
	}
	if err := s.CopyIn(t.Context(), archive, imagesDir+"/late.tar"); err != nil {
		t.Fatal(err)
	}
	hosts.Eventually(t, soon, "the image is there", func(ctx context.Context) error {
		out, err := s.Run(ctx, hosts.KelpPath, "ctr", "images", "ls", "-q")
		if err == nil && !strings.Contains(out, reference+"\n") {
			return fmt.Errorf("images are %q", out)
		}
		return err
	})
	namespace := s.namespace(t, "late")
	s.kubectl(t, "-n", namespace, "run", "late", "--image="+reference, "--labels=app=late", "--image-pull-policy=IfNotPresent")
	s.awaitPod(t, namespace, "app=late", podUp)
}
