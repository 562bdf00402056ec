package doctor

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// trio is what a server of three and an agent sees.
func trio() Overview {
	server := func(name string) corev1.Node {
		n := readyNode(name)
		n.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
		return n
	}
	silent := readyNode("agent-1")
	silent.Status.Conditions[0].Status = corev1.ConditionUnknown
	cordoned := server("server-2")
	cordoned.Spec.Unschedulable = true
	seen := Cluster{
		Nodes:     []corev1.Node{silent, server("server-1"), cordoned},
		Leases:    []coordinationv1.Lease{{ObjectMeta: metav1.ObjectMeta{Name: leaseName}, Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("server-2")}}},
		Upgrades:  []unstructured.Unstructured{upgradeObject("new", "Failed", noon), upgradeObject("old", "Done", noon.Add(-time.Hour))},
		Snapshots: []unstructured.Unstructured{snapshotObject("a", "Good", noon.Add(-2*time.Hour)), snapshotObject("b", "Failed", noon), snapshotObject("c", "Good", noon.Add(-time.Hour))},
	}
	o := Overview{Store: StoreState{Kind: config.DatastoreEtcd}, Certificate: firstEnding([]pki.Status{
		{Name: "ca", NotAfter: noon.AddDate(10, 0, 0), DaysLeft: 3650}, {Name: "missing"}, {Name: "kubelet", NotAfter: noon.AddDate(0, 0, 20), DaysLeft: 20},
	})}
	summarise(&o, seen, []voters.Member{
		{Name: "server-1", Leader: true, DBSize: 4_200_000}, {Name: "server-2"}, {Name: "server-3", Problem: "does not answer: refused"}, {Learner: true},
	})
	return o
}

func upgradeObject(name, phase string, created time.Time) unstructured.Unstructured {
	o := unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"version": "v1.37.3"}, "status": map[string]any{"phase": phase, "message": "server-1: no room"},
	}}
	o.SetName(name)
	o.SetCreationTimestamp(metav1.NewTime(created))
	return o
}

func TestOverviewOnOneScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := trio().Print(&out, noon); err != nil {
		t.Fatal(err)
	}
	want := `cluster       servers: 4, agents: 1, 3 of 5 ready; v1.37.2+kelp1
datastore     etcd: 3 voters, 1 learners, server-1 leads, 4.2 MB
leader        server-2 runs what runs once
snapshots     2, the newest 1h00m old, on main; 1 of no use
upgrade       new: of the cluster to v1.37.3, failed: server-1: no room
certificates  of this machine, kubelet ends first, in 20 days

NODE       ROLE    STATE            VERSION        ADDRESS   ETCD
(joining)  server  no node          -              -         learner
server-1   server  ready            v1.37.2+kelp1  10.0.0.9  leader
server-2   server  ready, cordoned  v1.37.2+kelp1  10.0.0.9  voter
server-3   server  no node          -              -         voter, does not answer: refused
agent-1    agent   silent           v1.37.2+kelp1  10.0.0.9  -
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestOverviewWithoutTheAPI(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := Overview{Problem: "the API server is\nwaiting", Store: StoreState{Kind: config.DatastoreSQLite}}
	if err := o.Print(&out, noon); err != nil {
		t.Fatal(err)
	}
	if want := "datastore  SQLite\nnote       the API server is waiting\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	for state, want := range map[supervisor.State]string{supervisor.Waiting: "the API server is waiting", supervisor.Ready: "", supervisor.Degraded: ""} {
		if got := notServing(supervisor.Snapshot{Components: []supervisor.Status{{Name: "apiserver", State: state}}}); got != want {
			t.Errorf("%s: got %q", state, got)
		}
	}
}

// A machine where kelp has never run is asked without harm.
func TestSurveyOfNothing(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir, cfg.Node.Name = t.TempDir(), "main"
	o := Survey(t.Context(), cfg, Status{})
	if !strings.Contains(o.Problem, "kelp has never run on this machine") || len(o.Nodes) != 0 || o.Certificate.Name != "" {
		t.Errorf("got %+v", o)
	}
	if text, err := json.Marshal(o); err != nil || strings.Contains(string(text), "0001-01-01") {
		t.Errorf("%s, %v", text, err)
	}
}
