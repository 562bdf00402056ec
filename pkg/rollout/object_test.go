package rollout

import (
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kelp-project/kelp/pkg/config"
)

func TestObjectsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	at := metav1.NewTime(now.Local())
	u := Upgrade{
		ObjectMeta: metav1.ObjectMeta{Name: "x", UID: "1", ResourceVersion: "7"},
		Spec:       Spec{Version: "v2", URL: "https://kelp.example/", Cordon: true},
		Status:     Status{Phase: Running, Nodes: []NodeStatus{{Name: "a", State: Running, Started: &at}, {Name: "b"}}},
	}
	o, err := u.object()
	if err != nil {
		t.Fatal(err)
	}
	if o.GetKind() != kind || o.GetAPIVersion() != "kelp.io/v1" || o.GetResourceVersion() != "7" {
		t.Errorf("it is %v", o)
	}
	back, err := parse(o)
	if err != nil || !reflect.DeepEqual(back, u) {
		t.Errorf("%+v, %v; want %+v", back, err, u)
	}
}

func TestTimeoutIsTheDefaultUnlessOneIsGiven(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"": 5 * time.Minute, "90s": 90 * time.Second, "-1s": 5 * time.Minute, "soon": 5 * time.Minute} {
		if got := (Upgrade{Spec: Spec{Timeout: text}}).timeout(); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestNamesAreNames(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1.37.2+kelp1", "v1.37.2+kelp.0.ABCDEF12", "dev", "_"} {
		if name := nameOf(version) + "x7k2p"; len(validation.IsDNS1123Subdomain(name)) > 0 {
			t.Errorf("%s gives the name %s", version, name)
		}
	}
}

func TestAFailureIsOfOneUpgrade(t *testing.T) {
	t.Parallel()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotation: `{"upgrade":"1","message":"no room"}`}}}
	if got := failureOf(n, "1"); got != "no room" {
		t.Errorf("it says %q", got)
	}
	if got := failureOf(n, "2"); got != "" {
		t.Errorf("of another one it says %q", got)
	}
	n.Annotations[annotation] = "nonsense"
	if got := failureOf(n, "1"); got != "" {
		t.Errorf("nonsense says %q", got)
	}
}

func TestProgramsAreForNodes(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	good := strings.Repeat("0a", 32)
	if err := os.MkdirAll(cfg.Paths().Programs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(programOf(cfg, good), []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	node := "node-1"
	mux := http.NewServeMux()
	mux.Handle(Programs(cfg, func(*http.Request) string { return node }))
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	if code, text := ask(programsPath + good); code != http.StatusOK || text != "program" {
		t.Errorf("a node gets %d, %q", code, text)
	}
	for _, path := range []string{strings.Repeat("0b", 32), "trial.json", "..%2ftrial.json"} {
		if code, _ := ask(programsPath + path); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
	node = ""
	if code, _ := ask(programsPath + good); code != http.StatusUnauthorized {
		t.Errorf("anybody gets %d", code)
	}
}

// TestProgramsThatNobodyNeedsGo, and not those that are just being given out.
func TestProgramsThatNobodyNeedsGo(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	m := NewMachine(cfg, nil)
	if err := m.tidy(nil); err != nil {
		t.Errorf("without any: %v", err)
	}
	if err := os.MkdirAll(cfg.Paths().Programs, 0o700); err != nil {
		t.Fatal(err)
	}
	needed, over, fresh := strings.Repeat("1", 64), strings.Repeat("2", 64), strings.Repeat("3", 64)
	for _, name := range []string{needed, over, fresh} {
		if err := os.WriteFile(programOf(cfg, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if name != fresh {
			long := time.Now().Add(-2 * keptFor)
			if err := os.Chtimes(programOf(cfg, name), long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := []Upgrade{{Spec: Spec{SHA256: needed}}, {Spec: Spec{SHA256: over}, Status: Status{Phase: Done}}}
	if err := m.tidy(all); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{needed: true, over: false, fresh: true} {
		if _, err := os.Stat(programOf(cfg, name)); (err == nil) != want {
			t.Errorf("%.4s…: %v", name, err)
		}
	}
}
