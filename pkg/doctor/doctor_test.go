package doctor

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

func snapshot() supervisor.Snapshot {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return supervisor.Snapshot{Started: now, Components: []supervisor.Status{
		{Name: "certificates", State: supervisor.Ready, Since: now, ReadyAfter: 0.02, Once: true},
		{Name: "apiserver", State: supervisor.Degraded, Since: now.Add(time.Minute), ReadyAfter: 1.25, LastError: "etcd does not answer\nsecond line"},
		{Name: "network", State: supervisor.Skipping, Since: now, Reason: "bring a CNI plugin"},
	}}
}

func TestTableTellsWhatAPersonAsks(t *testing.T) {
	t.Parallel()
	st := Status{Version: "v1", Node: "n1", PID: 7, API: "https://127.0.0.1:6443", Snapshot: snapshot()}
	var out bytes.Buffer
	if err := Table(&out, st, st.Started.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	want := `node n1 is not ready: kelp v1, process 7, up 2h00m, API at https://127.0.0.1:6443

COMPONENT     STATE     SINCE  READY AFTER  NOTE
certificates  done      2h00m  0.02s        
apiserver     degraded  1h59m  1.25s        etcd does not answer
network       skipped   2h00m  -            bring a CNI plugin
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestAskWithNobodyThere(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "kelp.sock")
	if _, err := Ask(t.Context(), socket); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Ask(t.Context(), socket); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a dead socket: %v", err)
	}
}

func TestStatusIsTheSnapshot(t *testing.T) {
	t.Parallel()
	s := NewServer(config.Config{Node: config.Node{Name: "n1"}}, "https://127.0.0.1:6443", snapshot)
	answer := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/status", nil))
	body := answer.Body.String()
	for _, want := range []string{`"node":"n1"`, `"ready":false`, `"state":"degraded"`, `"readyAfter":1.25`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in %s", want, body)
		}
	}
}

func TestAskOverTheSocket(t *testing.T) {
	t.Parallel()
	listen := func(path string) *Server {
		s := NewServer(config.Config{Node: config.Node{Name: "n1"}}, "https://127.0.0.1:6443", snapshot)
		s.path = path
		if err := s.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	socket := filepath.Join(t.TempDir(), "run", "kelp.sock")
	// One that was killed leaves its socket behind.
	defer listen(socket).Close()
	s := listen(socket)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v", info, err)
	}
	st, err := Ask(t.Context(), socket)
	if err != nil || st.Node != "n1" || len(st.Components) != 3 || st.PID != os.Getpid() {
		t.Errorf("got %+v, %v", st, err)
	}
	s.Close()
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket was left behind: %v", err)
	}
}

func TestOnlyRootIsAnswered(t *testing.T) {
	t.Parallel()
	if own := uint32(os.Geteuid()); !trusted(0) || !trusted(own) || trusted(own+1) {
		t.Error("the wrong users are trusted")
	}
}
