package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

func TestStatusOfMachineAndCluster(t *testing.T) {
	t.Parallel()
	st := doctor.Status{Version: "v1", Node: "main", PID: 7, API: "https://127.0.0.1:6443", Ready: true, Snapshot: supervisor.Snapshot{
		Started: time.Now(), Components: []supervisor.Status{{Name: "apiserver", State: supervisor.Ready}},
	}}
	o := doctor.Overview{Leader: "b", Nodes: []doctor.Member{{Name: "main", Server: true, Ready: true, State: "ready", Version: "v1"}}}

	var out bytes.Buffer
	if err := printStatus(&out, "json", st, o); err != nil {
		t.Fatal(err)
	}
	// Whoever reads this machine's part finds it where it was.
	var again struct {
		doctor.Status
		Cluster doctor.Overview `json:"cluster"`
	}
	if err := json.Unmarshal(out.Bytes(), &again); err != nil || again.Node != "main" || again.PID != 7 || !again.Ready || len(again.Components) != 1 {
		t.Errorf("%v: %s", err, out.String())
	}
	if again.Cluster.Leader != "b" || len(again.Cluster.Nodes) != 1 {
		t.Errorf("the cluster is %+v", again.Cluster)
	}

	out.Reset()
	if err := printStatus(&out, "table", st, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cluster  servers: 1, agents: 0, all ready; v1\n", "\nmain  server  ready", "\nnode main is ready: kelp v1, process 7", "\napiserver  ready"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestFormsOfStatusAndDoctor(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`output "yaml"`:         {"status", "-o", "yaml"},
		"--watch is for people": {"status", "--watch", "-o", "json"},
		`output "text"`:         {"doctor", "-o", "text"},
	} {
		if _, err := run(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %s", args, err, want)
		}
	}
}
