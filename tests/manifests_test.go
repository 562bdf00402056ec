//go:build e2e

package tests

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// promised is how soon a change in the manifests directory is applied: 2 s,
// and one for the look by kubectl.
const promised = 3 * time.Second

func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: default}\ndata: {key: %q}\n---\n", name, value)
}

func (s *server) write(t *testing.T, path, text string) {
	t.Helper()
	if err := s.WriteFile(t.Context(), path, text); err != nil {
		t.Fatal(err)
	}
}

// awaitValue waits until a ConfigMap holds a value; "" until it is gone.
func (s *server) awaitValue(t *testing.T, limit time.Duration, name, want string) {
	t.Helper()
	hosts.Eventually(t, limit, fmt.Sprintf("ConfigMap %s holds %q", name, want), func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "configmap", name, "--ignore-not-found", "-o", "jsonpath={.data.key}")
		if err == nil && out != want {
			return fmt.Errorf("it holds %q", out)
		}
		return err
	})
}

// The manifests directory and the cluster converge: what a file says is there
// within two seconds, what it no longer says is gone.
func TestManifestsConverge(t *testing.T) {
	s := cluster(t)
	file := manifestsDir + "/nested/deeper/two.yaml"
	s.write(t, file, configMap("one", "a")+configMap("two", "a"))
	s.awaitValue(t, promised, "one", "a")
	s.awaitValue(t, promised, "two", "a")

	s.write(t, file, configMap("one", "b")+configMap("two", "a"))
	s.awaitValue(t, promised, "one", "b")
	s.write(t, file, configMap("one", "b")) // pruned
	s.awaitValue(t, promised, "two", "")
	s.awaitValue(t, promised, "one", "b")

	s.write(t, file+".skip", "")
	s.write(t, file, configMap("one", "ignored"))
	s.write(t, manifestsDir+"/after.json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"after","namespace":"default"},"data":{"key":"json"}}`)
	s.awaitValue(t, promised, "after", "json") // a later file is done, so the skipped one was looked at
	s.awaitValue(t, promised, "one", "b")

	s.run(t, "rm "+file+".skip")
	s.awaitValue(t, promised, "one", "ignored")
	s.run(t, "rm "+file+" "+manifestsDir+"/after.json")
	s.awaitValue(t, promised, "one", "")
	s.awaitValue(t, promised, "after", "")
}

// A file that is removed or changed while kelp is stopped has its effect at
// the next start. Own resource kinds are used in the file that defines them.
func TestManifestsChangeWhileKelpIsStopped(t *testing.T) {
	s := ownServer(t, specNamed("manifests"), "")
	s.write(t, manifestsDir+"/gone.yaml", configMap("gone", "a"))
	s.write(t, manifestsDir+"/changed.yaml", configMap("changed", "a")+widgets)
	s.start(t)
	s.awaitValue(t, soon, "gone", "a")
	s.awaitValue(t, soon, "changed", "a")
	hosts.Eventually(t, soon, "a resource of a kind from the same file", func(ctx context.Context) error {
		_, err := s.Kubectl(ctx, "get", "widget", "first")
		return err
	})
	// What an Addon has recorded is remembered, whatever happens to kelp then.
	hosts.Eventually(t, podUp, "both files have their Addons", func(ctx context.Context) error {
		_, err := s.Kubectl(ctx, "-n", "kube-system", "get", "addons", "gone", "changed")
		return err
	})
	s.stopKelp(t)
	s.run(t, "rm "+manifestsDir+"/gone.yaml")
	s.write(t, manifestsDir+"/changed.yaml", configMap("changed", "b"))
	s.start(t)
	s.awaitValue(t, soon, "gone", "")
	s.awaitValue(t, soon, "changed", "b")
}

// The resource comes before its kind: dependency order is kelp's work.
const widgets = `
apiVersion: example.test/v1
kind: Widget
metadata: {name: first}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.test}
spec:
  group: example.test
  scope: Cluster
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object}}
`

// A broken file is reported with file, document and line, and stops no other.
func TestBrokenManifestStopsNoOther(t *testing.T) {
	s := cluster(t)
	broken := manifestsDir + "/broken.yaml"
	s.write(t, broken, configMap("before-broken", "a")+"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\n---\n")
	s.write(t, manifestsDir+"/healthy.yaml", configMap("healthy", "a"))
	s.awaitValue(t, promised, "healthy", "a")
	hosts.Eventually(t, soon, "the broken file is reported", func(ctx context.Context) error {
		log, err := s.Run(ctx, "journalctl", "-u", "kelp", "-o", "cat", "--no-pager", "--since=-60s")
		if err != nil {
			return err
		}
		for _, line := range strings.Split(log, "\n") {
			if strings.Contains(line, "broken.yaml") && strings.Contains(line, "document 2") && strings.Contains(line, "line") {
				return nil
			}
		}
		return fmt.Errorf("no line names broken.yaml, its second document and a line")
	})
	s.awaitDiagnosis(t, soon, "problem", "manifests: ", "broken.yaml was not applied", "document 2", "kelp kubectl -n kube-system describe addon broken")
	s.write(t, broken, configMap("before-broken", "repaired"))
	s.awaitValue(t, promised, "before-broken", "repaired")
	s.run(t, "rm "+broken+" "+manifestsDir+"/healthy.yaml")
	s.awaitValue(t, promised, "before-broken", "")
}

// Every file has an object with its state.
func TestManifestsHaveAnAddonObject(t *testing.T) {
	s := cluster(t)
	s.write(t, manifestsDir+"/seen.yaml", configMap("seen", "a"))
	s.awaitValue(t, promised, "seen", "a")
	hosts.Eventually(t, soon, "an object speaks of the file", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "addons", "-A", "-o", "yaml")
		if err == nil && !strings.Contains(out, "seen.yaml") {
			return fmt.Errorf("none of the addons names seen.yaml:\n%s", out)
		}
		return err
	})
	s.run(t, "rm "+manifestsDir+"/seen.yaml")
	s.awaitValue(t, promised, "seen", "")
}
