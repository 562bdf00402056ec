package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kelp-project/kelp/pkg/config"
)

// fakeAPI is a cluster that holds objects by their reference.
type fakeAPI struct {
	mu      sync.Mutex
	objects map[string]string // reference: label
	stored  map[string]Addon  // by file
	said    []string          // what was written to Addons and events
	order   []string          // applies (+) and removals (-), as they came
	refuse  map[string]error  // by reference, when applied or removed
	down    error             // of everything about Addons
	dies    bool              // before it records what was made
}

func (m *fakeAPI) begin() {}

func (m *fakeAPI) resolve(o *unstructured.Unstructured) (Ref, error) {
	if o.GetNamespace() == "" && o.GetKind() != "Namespace" {
		o.SetNamespace("default")
	}
	return refOf(o), nil
}

func (m *fakeAPI) apply(_ context.Context, o *unstructured.Unstructured) (Ref, error) {
	r, _ := m.resolve(o)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order = append(m.order, "+"+o.GetKind())
	if err := m.refuse[r.String()]; err != nil {
		return Ref{}, err
	}
	m.objects[r.String()] = o.GetLabels()["v"]
	return r, nil
}

func (m *fakeAPI) remove(_ context.Context, r Ref) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse[r.String()]; err != nil {
		return err
	}
	m.order = append(m.order, "-"+r.Kind)
	delete(m.objects, r.String())
	return nil
}

func (m *fakeAPI) addons(context.Context) (map[string]Addon, error) {
	return maps.Clone(m.stored), m.down
}

func (m *fakeAPI) note(_ context.Context, a Addon) error {
	if m.down == nil {
		m.stored[a.File] = a
	}
	return m.down
}

func (m *fakeAPI) record(_ context.Context, a Addon, message string) error {
	if m.dies {
		return context.Canceled
	}
	if m.down != nil {
		return m.down
	}
	m.stored[a.File] = a
	m.said = append(m.said, fmt.Sprintf("%s %s: %s", a.File, a.State, message))
	return nil
}

func (m *fakeAPI) removeAddon(_ context.Context, name string) error {
	maps.DeleteFunc(m.stored, func(_ string, a Addon) bool { return a.Name == name })
	return m.down
}

// world is a manifests directory and a cluster.
type world struct {
	t   *testing.T
	dir string
	d   *Deploy
	m   *fakeAPI
}

func newWorld(t *testing.T) *world {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	w := &world{t: t, dir: cfg.Paths().Manifests, m: &fakeAPI{objects: map[string]string{}, stored: map[string]Addon{}, refuse: map[string]error{}}}
	w.d = New(cfg, Inputs{})
	w.d.cluster = w.m
	return w
}

// restart is what a new process sees: the cluster and the directory alone.
func (w *world) restart() {
	w.d = New(w.d.cfg, Inputs{})
	w.d.cluster = w.m
}

// write puts documents into a file; none removes it. A document is
// Kind/name=version.
func (w *world) write(file string, documents ...string) {
	w.t.Helper()
	path := filepath.Join(w.dir, file)
	if len(documents) == 0 {
		if err := os.Remove(path); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	var text strings.Builder
	for _, doc := range documents {
		kind, rest, isObject := strings.Cut(doc, "/")
		name, version, _ := strings.Cut(rest, "=")
		if !isObject {
			text.WriteString("---\n" + doc + "\n")
			continue
		}
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: %s\nmetadata: {name: %s, labels: {v: %q}}\n", kind, name, version)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// pass lets deploy act once and returns whether it wants to again.
func (w *world) pass() bool {
	w.t.Helper()
	w.m.said, w.m.order = nil, nil
	files, err := scan(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	again, err := w.d.pass(w.t.Context(), files)
	if err != nil && w.m.down == nil {
		w.t.Fatal(err)
	}
	return again
}

// holds compares the cluster's objects, each as "Kind namespace/name=version".
func (w *world) holds(want ...string) {
	w.t.Helper()
	var got []string
	for r, v := range w.m.objects {
		got = append(got, strings.Replace(r, "default/", "", 1)+"="+v)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("the cluster's objects (-want +got):\n%s", diff)
	}
}

func (w *world) says(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.m.said); diff != "" {
		w.t.Errorf("what was recorded (-want +got):\n%s", diff)
	}
}

func TestAFileConverges(t *testing.T) {
	w := newWorld(t)
	w.write("apps/web.yaml", "ConfigMap/a=1", "ConfigMap/b=1")
	if w.pass() {
		t.Error("wants to try again, with everything applied")
	}
	w.holds("ConfigMap a=1", "ConfigMap b=1")
	w.says("apps/web.yaml Applied: 2 objects, 0 pruned")
	w.pass()
	w.says() // nothing to do, nothing written
	if len(w.m.order) > 0 {
		t.Errorf("with nothing changed: %v", w.m.order)
	}

	w.write("apps/web.yaml", "ConfigMap/a=2")
	w.pass()
	w.holds("ConfigMap a=2")
	w.says("apps/web.yaml Applied: 1 objects, 1 pruned")

	w.write("apps/web.yaml")
	w.pass()
	w.holds()
	if len(w.m.stored) > 0 {
		t.Errorf("addons remain: %v", w.m.stored)
	}
}

func TestWhatChangedWhileStoppedIsSeen(t *testing.T) {
	w := newWorld(t)
	w.write("gone.yaml", "ConfigMap/gone=1")
	w.write("kept.yaml", "ConfigMap/kept=1", "ConfigMap/dropped=1")
	w.write("same.yaml", "ConfigMap/same=1")
	w.pass()
	w.restart()
	w.write("gone.yaml")
	w.write("kept.yaml", "ConfigMap/kept=2")
	delete(w.m.objects, "ConfigMap default/same") // by hand
	w.pass()
	w.holds("ConfigMap kept=2", "ConfigMap same=1")
	w.says("kept.yaml Applied: 1 objects, 1 pruned") // an unchanged file is applied, and its Addon not written
}

func TestObjectsAreAppliedAndRemovedInDependencyOrder(t *testing.T) {
	w := newWorld(t)
	w.write("a.yaml", "Deployment/web=1", "APIService/v1=1", "ConfigMap/c=1")
	w.write("b.yaml", "Service/web=1", "Widget/w=1", "Namespace/shop=1")
	w.pass()
	w.m.order[2], w.m.order[3] = max(w.m.order[2], w.m.order[3]), min(w.m.order[2], w.m.order[3]) // of one phase
	want := []string{"+Namespace", "+ConfigMap", "+Widget", "+Service", "+Deployment", "+APIService"}
	if diff := cmp.Diff(want, w.m.order); diff != "" {
		t.Errorf("order of applying over both files (-want +got):\n%s", diff)
	}
	w.write("a.yaml", "ConfigMap/c=1")
	w.write("b.yaml", "Service/web=1")
	w.pass()
	removed := slices.DeleteFunc(w.m.order, func(s string) bool { return s[0] == '+' })
	if diff := cmp.Diff([]string{"-APIService", "-Deployment", "-Widget", "-Namespace"}, removed); diff != "" {
		t.Errorf("order of removing (-want +got):\n%s", diff)
	}
}

func TestABrokenFileStopsNoOtherAndLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.write("broken.yaml", "ConfigMap/a=1", "ConfigMap/b=1")
	w.write("whole.yaml", "ConfigMap/c=1")
	w.pass()
	w.write("broken.yaml", "ConfigMap/a=2", "kind: {")
	w.write("whole.yaml", "ConfigMap/c=2")
	if !w.pass() {
		t.Error("a broken file is not tried again")
	}
	w.holds("ConfigMap a=2", "ConfigMap b=1", "ConfigMap c=2")
	if a := w.m.stored["broken.yaml"]; a.State != Failed || !strings.HasPrefix(a.Message, "broken.yaml: document 2, line 6: ") || len(a.Objects) != 2 {
		t.Errorf("the addon is %+v", a)
	}
	w.pass()
	w.says() // the same failure is not told again
	w.write("broken.yaml", "ConfigMap/a=3")
	if w.pass() {
		t.Error("wants to try again after the repair")
	}
	w.holds("ConfigMap a=3", "ConfigMap c=2")
}

func TestARefusedObjectIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.write("web.yaml", "ConfigMap/a=1", "Widget/one=1", "Widget/two=1")
	w.m.refuse["Widget default/one"] = errors.New("no matches for kind")
	w.m.refuse["Widget default/two"] = errors.New("no matches for kind")
	if !w.pass() {
		t.Error("a refused object is not tried again")
	}
	w.holds("ConfigMap a=1")
	w.says("web.yaml Failed: web.yaml: document 2, line 6: Widget default/one: no matches for kind\nweb.yaml: document 3, line 10: Widget default/two: no matches for kind")
	clear(w.m.refuse)
	w.pass()
	w.holds("ConfigMap a=1", "Widget one=1", "Widget two=1")
	w.says("web.yaml Applied: 3 objects, 0 pruned")
}

func TestWhatCannotBeRemovedIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	w.write("web.yaml", "ConfigMap/a=1", "ConfigMap/b=1")
	w.write("gone.yaml", "ConfigMap/g=1")
	w.pass()
	w.m.refuse["ConfigMap default/b"] = errors.New("a webhook says no")
	w.m.refuse["ConfigMap default/g"] = errors.New("a webhook says no")
	w.write("web.yaml", "ConfigMap/a=1")
	w.write("gone.yaml")
	if !w.pass() {
		t.Error("objects that remain are not tried again")
	}
	clear(w.m.refuse)
	w.restart() // from what is recorded
	w.pass()
	w.holds("ConfigMap a=1")
}

func TestObjectsMoveBetweenFiles(t *testing.T) {
	for name, files := range map[string][2]string{"to a later one": {"a.yaml", "b.yaml"}, "to an earlier one": {"b.yaml", "a.yaml"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(files[0], "ConfigMap/moves=1", "ConfigMap/stays=1")
			w.write(files[1], "ConfigMap/other=1")
			w.pass()
			w.write(files[0], "ConfigMap/stays=1")
			w.write(files[1], "ConfigMap/other=1", "ConfigMap/moves=2")
			w.pass()
			w.holds("ConfigMap moves=2", "ConfigMap other=1", "ConfigMap stays=1")
			for _, said := range w.m.said {
				if strings.Contains(said, "also in") {
					t.Error(said)
				}
			}
		})
	}
	t.Run("with the file", func(t *testing.T) {
		w := newWorld(t)
		w.write("old.yaml", "ConfigMap/a=1")
		w.pass()
		w.write("new.yaml", "ConfigMap/a=1")
		w.write("old.yaml")
		w.pass()
		w.holds("ConfigMap a=1")
		if slices.ContainsFunc(w.m.order, func(s string) bool { return s[0] == '-' }) {
			t.Errorf("removed and made anew: %v", w.m.order)
		}
	})
}

func TestAnObjectInTwoFilesIsReported(t *testing.T) {
	w := newWorld(t)
	w.write("a.yaml", "ConfigMap/x=1")
	w.write("b.yaml", "ConfigMap/x=2")
	w.pass()
	w.says(
		"a.yaml Applied: ConfigMap default/x is also in b.yaml: the file that is applied last wins",
		"b.yaml Applied: ConfigMap default/x is also in a.yaml: the file that is applied last wins",
	)
	w.write("b.yaml")
	w.pass()
	if _, there := w.m.objects["ConfigMap default/x"]; !there {
		t.Error("the object went with one of its two files")
	}
}

func TestASkippedFileIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.write("web.yaml", "ConfigMap/a=1")
	w.pass()
	w.write("web.yaml.skip", "")
	w.write("web.yaml", "ConfigMap/b=1")
	if w.pass() {
		t.Error("wants to try a skipped file again")
	}
	w.holds("ConfigMap a=1")
	w.says("web.yaml Skipped: 1 objects, 0 pruned")
	w.write("web.yaml.skip")
	w.pass()
	w.holds("ConfigMap b=1")

	w.write("web.yaml.skip", "")
	w.pass()
	w.write("web.yaml")
	w.pass()
	w.holds("ConfigMap b=1")
}

func TestAnAddonThatCannotBeWrittenIsWrittenLater(t *testing.T) {
	w := newWorld(t)
	w.pass()
	w.write("web.yaml", "ConfigMap/a=1")
	w.m.down = apierrors.NewNotFound(addonResource.GroupResource(), "web") // its definition is not there yet
	if !w.pass() {
		t.Error("the state is not written again")
	}
	w.holds("ConfigMap a=1")
	w.m.down = nil
	w.pass()
	w.says("web.yaml Applied: 1 objects, 0 pruned")
}
