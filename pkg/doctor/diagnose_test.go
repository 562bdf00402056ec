package doctor

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(noon.Add(-d)) }

func readyNode(name string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.NodeStatus{
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: ago(time.Second)}},
			Addresses:   []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.9"}},
			Allocatable: corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("4Gi")},
			NodeInfo:    corev1.NodeSystemInfo{KubeletVersion: "v1.37.2+kelp1"},
		},
	}
}

// well is a server on which nothing is the matter. Each call makes it anew.
func well() Evidence {
	cfg := config.Default()
	cfg.Node.Name = "main"
	ready := func(name string) supervisor.Status { return supervisor.Status{Name: name, State: supervisor.Ready} }
	return Evidence{
		Now: noon, Config: cfg, Server: true,
		Status: &Status{Version: "v1.37.2+kelp1", Node: "main", Ready: true, Snapshot: supervisor.Snapshot{
			Started:    noon.Add(-3 * time.Hour),
			Components: []supervisor.Status{ready("datastore"), ready("apiserver"), ready("controller-manager"), ready("kubelet")},
		}},
		Unit: Unit{Name: "kelp", Active: "active"},
		Certificates: []pki.Status{
			{Name: "server-ca", NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(10, 0, 0), DaysLeft: 3650},
			{Name: "kubelet", Authority: "client-ca", NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(0, 0, 364), DaysLeft: 364},
		},
		Store: Store{Kind: config.DatastoreSQLite, Reads: []time.Duration{time.Millisecond}},
		API:   API{URL: "https://127.0.0.1:6443", Took: 3 * time.Millisecond},
		DNS:   DNS{Server: "10.43.0.10", Name: "kubernetes.default.svc.cluster.local", Took: time.Millisecond},
		Cluster: Cluster{
			Nodes:       []corev1.Node{readyNode("main")},
			Deployments: []appsv1.Deployment{{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Spec: appsv1.DeploymentSpec{Replicas: ptr.To(int32(1))}, Status: appsv1.DeploymentStatus{AvailableReplicas: 1}}},
			DNS:         &corev1.Service{Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.43.0.10"}}},
			DNSSlices:   []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.42.0.2"}}}}},
			Classes:     []storagev1.StorageClass{{ObjectMeta: metav1.ObjectMeta{Name: "local-path"}}},
			Tunnels:     map[string]string{"main": ""},
			Snapshots:   []unstructured.Unstructured{snapshotObject("s1", "Good", noon.Add(-time.Hour))},
		},
	}
}

func snapshotObject(name, state string, created time.Time) unstructured.Unstructured {
	return unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": name, "labels": map[string]any{"kelp.io/node": "main"}},
		"spec":     map[string]any{"node": "main", "location": "/s/" + name + ".snapshot.zst", "created": created.Format(time.RFC3339)},
		"status":   map[string]any{"state": state, "message": "cut short"},
	}}
}

func TestWhatIsWellIsGood(t *testing.T) {
	t.Parallel()
	r := Diagnose(well())
	var subjects []string
	for _, a := range r.Answers {
		subjects = append(subjects, a.Subject)
		if a.Level != Good {
			t.Errorf("%+v", a)
		}
	}
	const want = "kelp certificates datastore api controllers nodes dns pods snapshots"
	if got := strings.Join(subjects, " "); got != want || !r.Well() || r.Summary() != "no problem was found" {
		t.Errorf("got %s, want %s: %s", got, want, r.Summary())
	}
}

// fault is one thing that is the matter, and what has to be said of it.
type fault struct {
	change func(*Evidence)
	level  Level
	// want stand in one answer, in this order: in its subject, text, cause and
	// next commands.
	want []string
}

func (f fault) check(t *testing.T, name string) {
	t.Helper()
	e := well()
	f.change(&e)
	r := Diagnose(e)
	var all strings.Builder
	for _, a := range r.Answers {
		line := fmt.Sprintf("%s: %s | %s | %s", a.Subject, a.Text, a.Cause, strings.Join(a.Next, " ; "))
		if a.Level == f.level && inOrder(line, f.want) {
			return
		}
		fmt.Fprintf(&all, "%s %s\n", a.Level, line)
	}
	t.Errorf("%s: no %s says %q:\n%s", name, f.level, f.want, all.String())
}

func inOrder(text string, parts []string) bool {
	for _, part := range parts {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

func TestKelpAndTheAPI(t *testing.T) {
	t.Parallel()
	down := func(e *Evidence) {
		e.Status, e.StatusErr = nil, ErrNotRunning.Error()
		e.API = API{URL: "https://127.0.0.1:6443", Err: "connection refused"}
		e.Store = Store{Kind: config.DatastoreSQLite, Err: "nobody serves it"}
		e.Unit.Active = "inactive"
	}
	hanging := func(e *Evidence) {
		down(e)
		e.StatusErr, e.Unit.Active = "deadline exceeded", "active"
	}
	degraded := func(e *Evidence, name, why string) {
		e.Status.Ready = false
		for i, c := range e.Status.Components {
			if c.Name == name {
				e.Status.Components[i].State, e.Status.Components[i].LastError = supervisor.Degraded, why
			}
		}
	}
	for name, f := range map[string]fault{
		"stopped": {down, Problem, []string{"kelp: it does not run", "somebody has stopped it", "systemctl start kelp"}},
		"failed, with its last words": {func(e *Evidence) {
			down(e)
			e.Unit.Active, e.Unit.Errors = "failed", []string{"port 6443 (the API) is taken by socat"}
		}, Problem, []string{"kelp: it does not run", "port 6443 (the API) is taken by socat", "journalctl -u kelp"}},
		"no unit": {func(e *Evidence) { down(e); e.Unit = Unit{} }, Problem, []string{"kelp: it does not run", "no systemd unit starts it", "kelp server"}},
		"restarted again and again": {func(e *Evidence) {
			e.Status.Started, e.Unit.Restarts, e.Unit.Errors = noon.Add(-time.Minute), "5", []string{"disk full"}
		}, Warning, []string{"kelp: systemd has restarted it 5 times", "disk full"}},
		"a component":                {func(e *Evidence) { degraded(e, "kubelet", "PLEG is not healthy") }, Problem, []string{"kelp: component kubelet is degraded", "PLEG is not healthy", "grep kubelet"}},
		"hanging":                    {hanging, Problem, []string{"kelp: it does not say how it is: deadline exceeded", "nobody answers on the status socket", "systemctl restart kelp"}},
		"api: kelp hangs":            {hanging, Problem, []string{"api: it does not answer", "kelp runs, and does not say how it is"}},
		"its datastore hangs":        {hanging, Unknown, []string{"datastore: it is a part of kelp, which runs, and does not say how it is"}},
		"a setting":                  {func(e *Evidence) { e.Broken = "config.yaml:3: unknown key" }, Problem, []string{"kelp: the configuration is refused", "config.yaml:3: unknown key"}},
		"api: kelp is down":          {down, Problem, []string{"api: it does not answer", "kelp does not run"}},
		"the rest cannot be asked":   {down, Unknown, []string{"cluster: nodes, pods", "the API does not answer"}},
		"api: the datastore is away": {func(e *Evidence) { e.Store.Err, e.API.Err = "context deadline exceeded", "timeout" }, Problem, []string{"api: https://127.0.0.1:6443 does not answer", "the datastore does not answer: context deadline exceeded"}},
		"api: it waits": {func(e *Evidence) {
			e.API.Err = "refused"
			e.Status.Components[1] = supervisor.Status{Name: "apiserver", State: supervisor.Waiting, WaitingFor: []string{"datastore", "front"}}
		}, Problem, []string{"api:", "it waits for datastore, front", "kelp status"}},
		"api: a certificate": {func(e *Evidence) { e.API.Err, e.Certificates[1].NotAfter = "x509: expired", noon.Add(-time.Hour) }, Problem, []string{"api:", "the certificate kubelet has ended", "kelp certificate rotate kubelet"}},
		"api: its checks":    {func(e *Evidence) { e.API.Failed = []string{"etcd"} }, Problem, []string{"api: it answers, and its own checks fail: etcd"}},
		"api: slow":          {func(e *Evidence) { e.API.Lists = 3 * time.Second }, Warning, []string{"api: it answers slowly: a request took 3s", "too little CPU"}},
		"api: of an agent": {func(e *Evidence) {
			e.Server, e.API.Err = false, "connection refused"
		}, Problem, []string{"api:", "no server of the cluster answers: connection refused", "kelp doctor, on a server"}},
		"a certificate has ended": {func(e *Evidence) {
			e.Certificates[1].NotAfter, e.Certificates[1].DaysLeft = noon.Add(-50*time.Hour), -3
		}, Problem, []string{"certificates: kubelet has ended, 3 days ago", "kelp certificate rotate kubelet"}},
		"a damaged certificate": {func(e *Evidence) {
			e.Certificates[1] = pki.Status{Name: "kubelet", Authority: "client-ca", Damaged: "c.crt: there is no certificate in it"}
		}, Problem, []string{"certificates: kubelet is damaged", "there is no certificate in it", "kelp certificate rotate kubelet"}},
		"a certificate ends": {func(e *Evidence) { e.Certificates[1].DaysLeft = 12 }, Warning, []string{"certificates: kubelet ends in 12 days", "kelp certificate rotate kubelet"}},
		"an authority ends":  {func(e *Evidence) { e.Certificates[0].DaysLeft = 100 }, Warning, []string{"certificates: the authority server-ca ends in 100 days", "kelp certificate rotate-ca"}},
		"a clock that is behind": {func(e *Evidence) {
			e.Certificates[1].NotBefore = noon.Add(24 * time.Hour)
		}, Problem, []string{"certificates: kubelet is valid from 2026-01-03", "the clock of this machine is behind", "timedatectl"}},
	} {
		f.check(t, name)
	}
}

func TestDatastore(t *testing.T) {
	t.Parallel()
	etcd := func(e *Evidence) {
		e.Store.Kind, e.Store.Fsync, e.Store.Commit = config.DatastoreEtcd, 2*time.Millisecond, 4*time.Millisecond
		e.Store.Members = []voters.Member{{Name: "a", Leader: true}, {Name: "b"}, {Name: "c"}}
	}
	for name, f := range map[string]fault{
		"fine": {etcd, Good, []string{"datastore: etcd answers a read in 1ms", "within 2ms"}},
		"away": {func(e *Evidence) { e.Store.Err = "timeout" }, Problem, []string{"datastore: it does not answer", "timeout"}},
		"away, for its disk": {func(e *Evidence) {
			etcd(e)
			e.Store.Fsync, e.Store.Err = 4*time.Second, "context deadline exceeded"
		}, Problem, []string{"datastore: it does not answer", "the disk is slow: 1 of 100 writes to etcd's log takes over 4s", "context deadline exceeded", "iostat -x 1"}},
		"of a dead kelp": {func(e *Evidence) { e.Status, e.Store.Err = nil, "nobody serves it" }, Unknown, []string{"datastore: it is a part of kelp, which does not run"}},
		"external, away": {func(e *Evidence) {
			e.Status, e.Store = nil, Store{Kind: config.DatastoreExternal, Err: "connection refused"}
		}, Problem, []string{"datastore: it does not answer", "connection refused", "can be reached from here"}},
		"slow, for the disk": {func(e *Evidence) {
			etcd(e)
			e.Store.Reads[0], e.Store.Fsync = 400*time.Millisecond, 64*time.Millisecond
		}, Problem, []string{"datastore: it is slow: a read takes 400ms", "the disk is slow: 1 of 100 writes to etcd's log takes over 64ms", "iostat -x 1"}},
		"slow, for the network": {func(e *Evidence) {
			etcd(e)
			e.Store.Reads[0], e.Store.Peers = 400*time.Millisecond, 200*time.Millisecond
		}, Problem, []string{"datastore: it is slow", "the network between servers is slow: a message takes 200ms"}},
		"slow, for no reason": {func(e *Evidence) { e.Store.Reads[0] = 400 * time.Millisecond }, Problem, []string{"datastore: it is slow", "too little CPU", "top"}},
		"slow, SQLite's disk": {func(e *Evidence) {
			e.Host = []Answer{{Level: Warning, Subject: "disk speed", Text: "95 of 100 are after 40ms"}}
		}, Warning, []string{"datastore: it is slower than it should be", "95 of 100 are after 40ms"}},
		"a disk that is slow, so far without harm": {func(e *Evidence) { etcd(e); e.Store.Commit = 128 * time.Millisecond }, Warning, []string{"datastore: it is slower than it should be", "commits"}},
		"many elections":   {func(e *Evidence) { etcd(e); e.Store.Elections = 40 }, Warning, []string{"datastore: etcd's leader has changed 40 times"}},
		"a member is away": {func(e *Evidence) { etcd(e); e.Store.Members[1].Problem = "does not answer: refused" }, Problem, []string{"datastore: etcd's member b does not answer: refused", "on b: kelp doctor"}},
		"one more":         {func(e *Evidence) { etcd(e); e.Store.Members[1].Problem = "does not answer" }, Warning, []string{"datastore: 1 of etcd's 3 voters are away: not one more may fail"}},
		"no majority": {func(e *Evidence) {
			etcd(e)
			e.Store.Members[1].Problem, e.Store.Members[2].Problem, e.Store.Err = "does not answer", "does not answer", "timeout"
		}, Problem, []string{"datastore: etcd has no majority: 2 of 3 voters are away", "kelp server --cluster-reset"}},
		"no leader": {func(e *Evidence) {
			e.Store = Store{Kind: config.DatastoreEtcd, Leaderless: true, Err: "timeout"}
		}, Problem, []string{"datastore: it does not answer", "etcd has no leader: most of its servers do not run", "kelp etcd members"}},
		"two voters": {func(e *Evidence) { etcd(e); e.Store.Members = e.Store.Members[:2] }, Warning, []string{"datastore: etcd has two voters", "join a third server"}},
		"full":       {func(e *Evidence) { etcd(e); e.Store.Alarms = []string{"NOSPACE"} }, Problem, []string{"datastore: etcd has raised the alarm NOSPACE", "quota"}},
		"large":      {func(e *Evidence) { e.Store.Size = 3 << 30 }, Warning, []string{"datastore: the database has 3072 MB"}},
	} {
		f.check(t, name)
	}
}

func TestControllers(t *testing.T) {
	t.Parallel()
	lease := func(holder string, age time.Duration) coordinationv1.Lease {
		at := metav1.NewMicroTime(noon.Add(-age))
		return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &at, LeaseDurationSeconds: ptr.To(int32(15))}}
	}
	for name, f := range map[string]fault{
		"here":      {func(*Evidence) {}, Good, []string{"controllers: controller-manager and scheduler run here"}},
		"elsewhere": {func(e *Evidence) { e.Cluster.Leases = []coordinationv1.Lease{lease("b", time.Second)} }, Good, []string{"controllers:", "run on b"}},
		"without its role": {func(e *Evidence) {
			e.Cluster.Denied = map[string][]string{"system:kube-controller-manager": {"list deployments"}}
		}, Problem, []string{"controllers: kube-controller-manager may not list deployments", "system:kube-controller-manager, was changed or deleted", "systemctl restart kelp"}},
		"a lease that is not renewed": {func(e *Evidence) { e.Cluster.Leases = []coordinationv1.Lease{lease("b", time.Minute)} }, Problem, []string{"controllers: b holds the lease, and has not renewed it for 1m00s", "on b: kelp doctor"}},
		"a lease of nobody's":         {func(e *Evidence) { e.Cluster.Leases = []coordinationv1.Lease{lease("", time.Second)} }, Problem, []string{"controllers: no server holds the lease"}},
		"a deployment that nobody looks at": {func(e *Evidence) {
			e.Cluster.Deployments[0].Generation, e.Cluster.Deployments[0].CreationTimestamp = 2, ago(time.Hour)
		}, Problem, []string{"controllers: nobody has looked at deployment kube-system/coredns since it was changed, 1h00m ago", "does not work through its queue"}},
		"one that was changed just now": {func(e *Evidence) {
			d := &e.Cluster.Deployments[0]
			d.Generation, d.CreationTimestamp = 2, ago(time.Hour)
			d.ManagedFields = []metav1.ManagedFieldsEntry{{Time: ptr.To(ago(time.Second))}}
		}, Good, []string{"controllers:"}},
	} {
		f.check(t, name)
	}
}

// What could not be asked for is not said to be well.
func TestWhatIsNotSeenIsNotGood(t *testing.T) {
	t.Parallel()
	for subject, lists := range map[string][]string{aboutControllers: {"permissions", "leases", "deployments"}, aboutPods: {"pods"}} {
		for _, list := range lists {
			e := well()
			e.Cluster.Errs = map[string]string{list: "context deadline exceeded"}
			for _, a := range Diagnose(e).Answers {
				if a.Subject == subject {
					t.Errorf("without %s it says %+v", list, a)
				}
			}
		}
	}
}

func TestReportForPeopleAndItsSummary(t *testing.T) {
	t.Parallel()
	r := Report{Node: "main", Time: noon, Answers: []Answer{
		problem("pods", "pod a/b is pending", "no node\nhas room", "kelp kubectl describe", "add a node"), good("api", "answers"), warning("time", "alone", ""),
	}}
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	want := `good     api   answers
warning  time  alone
problem  pods  pod a/b is pending
               because no node has room
               → kelp kubectl describe
               → add a node

2026-01-02 12:00:00 on main: 1 problem, 1 warning
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
