//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kelp-project/kelp/tests/hosts"
)

// guarded is a namespace with a pod on each of two nodes, which policies are
// tried on. Its readiness probes have to go on whatever the policies say.
const guarded = `
apiVersion: v1
kind: Pod
metadata: {name: guarded-%[1]s, namespace: guarded, labels: {guarded: "yes", host: %[1]s}}
spec:
  nodeName: %[1]s
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: ` + webImage + `
    imagePullPolicy: Never
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1, failureThreshold: 1}
  - {name: second, image: ` + webImage + `, imagePullPolicy: Never, args: [serve, "9090"]}
`

const guardedService = `
apiVersion: v1
kind: Service
metadata: {name: guarded, namespace: guarded}
spec:
  selector: {guarded: "yes"}
  ports: [{port: 80, targetPort: http}]
`

// policy is a NetworkPolicy of the namespace guarded, replaced by every step.
const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: tried, namespace: guarded}
spec: %s
`

// policies has clients and targets on both nodes, and tries what each policy
// lets through between all of them.
func policies(t *testing.T, hub, leaf *server, clients string) {
	hub.makeNamespace(t, "guarded") // which is deleted as a part of the test
	address := map[string]string{}
	for _, h := range []*server{hub, leaf} {
		hub.apply(t, fmt.Sprintf(guarded, h.Name))
	}
	hub.apply(t, guardedService)
	for _, h := range []*server{hub, leaf} {
		address["guarded-"+h.Name] = hub.awaitPod(t, "guarded", "host="+h.Name, podUp).Status.PodIP
		address["on-"+h.Name] = hub.awaitPod(t, clients, "host="+h.Name, podUp).Status.PodIP
	}
	reaches := func(ctx context.Context, namespace, pod, url string) error {
		out, err := hub.Kubectl(ctx, "-n", namespace, "exec", pod, "-c", "web", "--", "web", "get", url)
		if err == nil && !strings.HasPrefix(out, "hello from ") {
			return fmt.Errorf("got %q", out)
		}
		return err
	}
	// expect waits until exactly those clients reach both targets at the port.
	expect := func(t *testing.T, port int, allowed ...string) {
		t.Helper()
		for _, client := range []string{"on-" + hub.Name, "on-" + leaf.Name} {
			for _, target := range []string{"guarded-" + hub.Name, "guarded-" + leaf.Name} {
				wanted := strings.Contains(strings.Join(allowed, " "), client)
				hosts.Eventually(t, soon, fmt.Sprintf("%s → %s:%d is %v", client, target, port, wanted), func(ctx context.Context) error {
					err := reaches(ctx, clients, client, fmt.Sprintf("http://%s:%d/", address[target], port))
					if wanted || err != nil && ctx.Err() == nil {
						if !wanted {
							return nil
						}
						return err
					}
					return errors.New("it is reached")
				})
			}
		}
	}
	both := []string{"on-" + hub.Name, "on-" + leaf.Name}
	expect(t, 8080, both...)
	for _, step := range []struct {
		name, spec string
		port       int
		allowed    []string
	}{
		{"nobody", `{podSelector: {}}`, 8080, nil},
		{"a pod of another namespace, at a port with a name", fmt.Sprintf(`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}, podSelector: {matchLabels: {host: %s}}}], ports: [{port: http}]}]}`, clients, leaf.Name), 8080, both[1:]},
		{"not at another port", fmt.Sprintf(`{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {host: %s}}}], ports: [{port: http}]}]}`, leaf.Name), 9090, nil},
		{"a range with an exception", fmt.Sprintf(`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [%s/32]}}]}]}`, address[both[1]]), 8080, both[:1]},
		{"a range of ports", `{podSelector: {}, ingress: [{ports: [{port: 9000, endPort: 9100}]}]}`, 9090, both},
		{"and none beside it", `{podSelector: {}, ingress: [{ports: [{port: 9000, endPort: 9100}]}]}`, 8080, nil},
		{"everybody", `{podSelector: {}, ingress: [{}]}`, 8080, both},
	} {
		t.Run(step.name, func(t *testing.T) {
			hub.apply(t, fmt.Sprintf(policy, step.spec))
			expect(t, step.port, step.allowed...)
		})
	}
	t.Run("through a Service", func(t *testing.T) {
		hub.apply(t, fmt.Sprintf(policy, fmt.Sprintf(`{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {host: %s}}}]}]}`, hub.Name)))
		expect(t, 8080, both[:1]...)
		ctx := t.Context()
		if err := reaches(ctx, clients, both[0], "http://guarded.guarded/"); err != nil {
			t.Errorf("who is allowed: %v", err)
		}
		if err := reaches(ctx, clients, both[1], "http://guarded.guarded/"); err == nil {
			t.Error("who is not allowed gets in")
		}
	})
	t.Run("egress", func(t *testing.T) {
		hub.apply(t, fmt.Sprintf(policy, fmt.Sprintf(`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}, podSelector: {matchLabels: {host: %s}}}], ports: [{port: 8080}]}, {ports: [{port: 53, protocol: UDP}]}]}`, clients, hub.Name)))
		for _, from := range []string{"guarded-" + hub.Name, "guarded-" + leaf.Name} {
			hosts.Eventually(t, soon, from+" leaves only where it may", func(ctx context.Context) error {
				if err := reaches(ctx, "guarded", from, "http://"+both[0]+"."+clients+"/"); err != nil {
					return err
				}
				if err := reaches(ctx, "guarded", from, "http://"+both[1]+"."+clients+"/"); err == nil {
					return errors.New("it reaches " + both[1])
				}
				return nil
			})
		}
		expect(t, 8080, both...) // what comes in is not its business
	})
	t.Run("before a pod's first container", func(t *testing.T) { neverOpen(t, hub, leaf, address[both[0]]) })
	t.Run("probes go on", func(t *testing.T) {
		hub.apply(t, fmt.Sprintf(policy, `{podSelector: {}, policyTypes: [Ingress, Egress]}`))
		expect(t, 8080)
		for _, h := range []*server{hub, leaf} {
			pod := hub.awaitPod(t, "guarded", "guarded=yes,host="+h.Name, soon)
			if restarts := pod.Status.ContainerStatuses[0].RestartCount; restarts != 0 {
				t.Errorf("%s was restarted %d times", pod.Name, restarts)
			}
		}
	})
	t.Run("a restart opens nothing", func(t *testing.T) {
		leaf.stopKelp(t)
		if err := reaches(t.Context(), clients, both[0], "http://"+address["guarded-"+leaf.Name]+":8080/"); err == nil {
			t.Error("while kelp is stopped the pod is reached")
		}
		leaf.start(t)
		hub.awaitNode(t, leaf.Name, joined)
		expect(t, 8080)
	})
	hub.kubectl(t, "delete", "namespace", "guarded", "--wait=false")
	for _, h := range []*server{hub, leaf} {
		h.awaitPolicyTable(t, false)
	}
}

// eager tries to get out as its first act, again and again for two seconds.
const eager = `
apiVersion: v1
kind: Pod
metadata: {name: eager-%[1]s-%[2]d, namespace: guarded, labels: {eager: "%[1]s-%[2]d"}}
spec:
  nodeName: %[1]s
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: ` + webImage + `
    imagePullPolicy: Never
    command: [sh, -c, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do if web get http://%[3]s:8080/; then echo OUT; fi; sleep 0.1; done; echo done"]
`

// neverOpen starts pods that a policy forbids to speak, while nobody but
// containerd knows their addresses.
func neverOpen(t *testing.T, hub, leaf *server, target string) {
	hub.apply(t, fmt.Sprintf(policy, `{podSelector: {}, policyTypes: [Egress]}`))
	for i := range 3 {
		for _, h := range []*server{hub, leaf} {
			hub.apply(t, fmt.Sprintf(eager, h.Name, i, target))
		}
	}
	for i := range 3 {
		for _, h := range []*server{hub, leaf} {
			name := fmt.Sprintf("eager-%s-%d", h.Name, i)
			hosts.Eventually(t, joined, name+" has ended", func(ctx context.Context) error {
				out, err := hub.Kubectl(ctx, "-n", "guarded", "get", "pod", name, "-o", "jsonpath={.status.phase}")
				if err == nil && out != string(corev1.PodSucceeded) {
					return errors.New("it is " + out)
				}
				return err
			})
			if out := hub.kubectl(t, "-n", "guarded", "logs", name); strings.Contains(out, "OUT") || !strings.Contains(out, "done") {
				t.Errorf("%s was not held back: %s", name, out)
			}
		}
	}
}
