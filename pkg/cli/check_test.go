package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/preflight"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

func TestCheckSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	out, err := run(t, "check", "--data-dir=/proc/self/status/kelp", "-o", "json")
	if err == nil || exitStatus(err) != 1 {
		t.Errorf("a data directory below a file passes: %v", err)
	}
	var report preflight.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Err() == nil {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := run(t, "check", "-o", "yaml"); err == nil || !strings.Contains(err.Error(), `"yaml"`) {
		t.Errorf("got %v", err)
	}
}

func TestReportForPeople(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := printReport(&out, preflight.Report{Findings: []preflight.Finding{
		{Level: preflight.Good, Check: "root", Text: "running as root"},
		{Level: preflight.Error, Check: "port 6443", Text: "port 6443 is taken", Fix: "stop it"},
	}})
	want := "good   root       running as root\nerror  port 6443  port 6443 is taken\n                  → stop it\n"
	if err != nil || out.String() != want {
		t.Errorf("got\n%s%v, want\n%s", out.String(), err, want)
	}
}

// starting is a kelp that becomes ready after it was asked a few times.
func starting(t *testing.T, asked int) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "kelp.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked--
		state := supervisor.Starting
		if asked <= 0 {
			state = supervisor.Ready
		}
		snap := supervisor.Snapshot{Components: []supervisor.Status{{Name: "api", State: state}}}
		_ = json.NewEncoder(w).Encode(doctor.Status{Ready: snap.Ready(), Snapshot: snap})
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return socket
}

func TestStatusWaits(t *testing.T) {
	t.Parallel()
	socket := starting(t, 4)
	if st, err := askStatus(t.Context(), socket, false, time.Minute); err != nil || st.Ready {
		t.Errorf("without waiting: %+v, %v", st, err)
	}
	if st, err := askStatus(t.Context(), socket, true, time.Minute); err != nil || !st.Ready {
		t.Errorf("with waiting: %+v, %v", st, err)
	}
	if st, err := askStatus(t.Context(), starting(t, 1000), true, 200*time.Millisecond); err != nil || st.Ready || st.Pending() != "api" {
		t.Errorf("after waiting in vain: %+v, %v", st, err)
	}
	nobody := filepath.Join(t.TempDir(), "kelp.sock")
	for _, wait := range []bool{false, true} {
		if _, err := askStatus(context.Background(), nobody, wait, 100*time.Millisecond); !errors.Is(err, doctor.ErrNotRunning) {
			t.Errorf("nobody there, wait %v: %v", wait, err)
		}
	}
}
