//go:build e2e

package tests

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// oneWay has a host drop whoever begins to speak to it, except in VXLAN: it
// still reaches all others. %s is the address that is dropped.
const oneWay = "nft add table inet oneway; " +
	"nft 'add chain inet oneway in { type filter hook input priority -300; }'; " +
	"nft 'add rule inet oneway in ip saddr %s tcp flags & (syn | ack) == syn drop'"

// validator is a webhook in a pod on one node, beside which no other could be.
const validator = `
apiVersion: v1
kind: Pod
metadata: {name: validator, namespace: %[2]s, labels: {app: validator}}
spec:
  nodeName: %[1]s
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - {name: web, image: ` + webImage + `, imagePullPolicy: Never, args: [admit, validator.%[2]s.svc], readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {name: validator, namespace: %[2]s}
spec:
  selector: {app: validator}
  ports: [{port: 443, targetPort: 8443}]
`

const validates = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: validator}
webhooks:
- name: validator.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
  clientConfig: {service: {name: validator, namespace: %[1]s}, caBundle: %[2]s}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
`

// throughTheTunnel has the server reach what is on an agent that lets nobody
// connect to it.
func throughTheTunnel(t *testing.T, hub, leaf *server, namespace string) {
	leaf.run(t, fmt.Sprintf(oneWay, hub.Address))
	defer leaf.run(t, "nft delete table inet oneway")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if conn, err := hub.Dial(ctx, "tcp", leaf.Address+":10250"); err == nil {
		_ = conn.Close() // that it opened is the finding
		t.Fatal("the agent can be dialled: the rest would prove nothing")
	}
	hub.stopKelp(t) // and with it every connection that was made before
	hub.start(t)
	hub.awaitNode(t, "leaf", joined)

	hosts.Eventually(t, joined, "the log of a pod on the agent can be read", func(ctx context.Context) error {
		out, err := hub.Kubectl(ctx, "-n", namespace, "logs", "on-leaf")
		if err == nil && !strings.Contains(out, "listening on port 8080") {
			err = errors.New("it is " + out)
		}
		return err
	})
	if out := hub.kubectl(t, "-n", namespace, "exec", "on-leaf", "--", "echo", "inside"); out != "inside" {
		t.Errorf("exec printed %q", out)
	}
	lines := hub.startReading(t, "-n", namespace, "port-forward", "pod/on-leaf", "18081:8080")
	awaitLine(t, lines, "Forwarding from 127.0.0.1:18081 -> 8080")
	awaitPage(t, soon, hub.Dial, "http://127.0.0.1:18081/")
	if out := hub.kubectl(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/services/on-leaf:80/proxy/"); !strings.HasPrefix(out, "hello from on-leaf") {
		t.Errorf("the API's proxy printed %q", out)
	}

	hub.apply(t, fmt.Sprintf(validator, "leaf", namespace))
	hub.awaitPod(t, namespace, "app=validator", podUp)
	certificate := hub.kubectl(t, "-n", namespace, "logs", "validator")
	hub.apply(t, fmt.Sprintf(validates, namespace, base64.StdEncoding.EncodeToString([]byte(certificate+"\n"))))
	hosts.Eventually(t, soon, "the webhook on the agent refuses an object", func(ctx context.Context) error {
		_, err := hub.Kubectl(ctx, "-n", namespace, "create", "configmap", "bad", "--dry-run=server")
		if err == nil {
			return errors.New("it was admitted")
		}
		if !strings.Contains(err.Error(), "the webhook says no") {
			return err
		}
		return nil
	})
	hub.kubectl(t, "-n", namespace, "create", "configmap", "good")
	hub.kubectl(t, "delete", "validatingwebhookconfiguration", "validator")

	measured := time.Now()
	hosts.Eventually(t, joined, "kubectl top has new figures of the agent", func(ctx context.Context) error {
		out, err := hub.Kubectl(ctx, "get", "nodemetrics.metrics.k8s.io", "leaf", "-o", "jsonpath={.timestamp}")
		if err != nil {
			return err
		}
		if at, err := time.Parse(time.RFC3339, out); err != nil || at.Before(measured) {
			return fmt.Errorf("they are of %s, %w", out, err)
		}
		return nil
	})
	if out := hub.kubectl(t, "top", "node", "leaf"); !strings.Contains(out, "leaf") {
		t.Errorf("top printed %q", out)
	}
	hub.awaitDiagnosis(t, soon, "warning", "network: node leaf cannot be reached at "+leaf.Address+":10250", "the API server reaches it through its tunnel", "behind a firewall on purpose")
}
