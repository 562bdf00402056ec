package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// nodesOf reads "s1* v1", "a1 v2 down": the name tells the role, and a star who leads.
func nodesOf(lines ...string) (nodes []Node) {
	for _, line := range lines {
		f := strings.Fields(line)
		name := strings.TrimSuffix(f[0], "*")
		n := Node{Name: name, Server: name[0] == 's', Leader: name != f[0], Ready: true, Version: f[1]}
		for _, word := range f[2:] {
			switch word {
			case "down":
				n.Ready = false
			default:
				n.Failure = word
			}
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// statusOf reads "s1=Done a1=Running!", with a mark for a node that was cordoned.
func statusOf(text string) (s Status) {
	for _, pair := range strings.Fields(text) {
		name, state, _ := strings.Cut(pair, "=")
		started := metav1.NewTime(now.Add(-time.Minute))
		s.Nodes = append(s.Nodes, NodeStatus{Name: name, State: strings.TrimSuffix(state, "!"), Started: &started, Cordoned: strings.HasSuffix(state, "!")})
	}
	return s
}

func (s Status) text() string {
	words := []string{s.Phase + ":"}
	for _, n := range s.Nodes {
		if n.State != "" {
			words = append(words, n.Name+"="+n.State)
		}
	}
	return strings.Join(words, " ")
}

func TestDecide(t *testing.T) {
	t.Parallel()
	old3 := []string{"s1 v1", "s2* v1", "s3 v1", "a1 v1", "a2 v1"}
	for name, c := range map[string]struct {
		nodes  []string
		status string
		change func(*View)
		want   string
		says   string
	}{
		"one server":                   {[]string{"s1* v1"}, "", nil, "Running: s1=Running", ""},
		"one server, done":             {[]string{"s1* v2"}, "s1=Running", nil, "Done: s1=Done", ""},
		"nothing to do":                {[]string{"s1* v2", "a1 v2"}, "", nil, "Done: s1=Done a1=Done", ""},
		"a server that does not lead":  {old3, "", nil, "Running: s1=Running", ""},
		"never two servers":            {old3, "s1=Running", nil, "Running: s1=Running", "s1 is being upgraded"},
		"the next server":              {[]string{"s1 v2", "s2* v1", "s3 v1", "a1 v1"}, "s1=Running", nil, "Running: s1=Done s3=Running", ""},
		"the leader last":              {[]string{"s1 v2", "s2* v1", "s3 v2", "a1 v1"}, "s1=Done s3=Running", nil, "Running: s1=Done s3=Done s2=Running", ""},
		"the lease has moved":          {[]string{"s1* v2", "s2 v1 down", "s3 v2", "a1 v1"}, "s1=Done s3=Done s2=Running", nil, "Running: s2=Running s3=Done s1=Done", "s2 is being upgraded"},
		"then the agents":              {[]string{"s1 v2", "s2* v2", "a1 v1", "a2 v1", "a3 v1", "a4 v1"}, "s1=Done s2=Running", nil, "Running: s1=Done s2=Done a1=Running a2=Running a3=Running", ""},
		"the next agent":               {[]string{"s1* v2", "a1 v2", "a2 v1 down", "a3 v1", "a4 v1"}, "s1=Done a1=Running a2=Running a3=Running", nil, "Running: s1=Done a1=Done a2=Running a3=Running a4=Running", ""},
		"drained ones one by one":      {[]string{"s1* v2", "a1 v1", "a2 v1"}, "s1=Done", func(v *View) { v.Spec.Drain = true }, "Running: s1=Done a1=Draining", ""},
		"cordoned before":              {[]string{"s1* v1", "a1 v1"}, "", func(v *View) { v.Spec.Cordon = true }, "Running: s1=Draining", ""},
		"a drain goes on":              {[]string{"s1* v1", "a1 v1"}, "s1=Draining", nil, "Running: s1=Draining", "s1 is being upgraded"},
		"not while a server is down":   {[]string{"s1 v1", "s2* v1", "s3 v1 down"}, "", nil, "Running:", "waits for the server s3"},
		"not while a voter is down":    {old3, "", func(v *View) { v.Voters = "s3 does not answer" }, "Running:", "etcd: s3 does not answer"},
		"agents go on without a voter": {[]string{"s1* v2", "a1 v1"}, "s1=Done", func(v *View) { v.Voters = "s3 does not answer" }, "Running: s1=Done a1=Running", ""},
		"one that is done is away":     {[]string{"s1* v2", "a1 v2 down", "a2 v1"}, "s1=Done a1=Done", nil, "Running: s1=Done a1=Done", "waits for a1"},
		"one that is done went back":   {[]string{"s1* v2", "a1 v1", "a2 v1"}, "s1=Done a1=Done", nil, "Running: s1=Done a1=Done", "waits for a1"},
		"the new version is not ready": {[]string{"s1* v2 down", "a1 v1"}, "s1=Running", nil, "Running: s1=Running", "s1 is being upgraded"},
		"an agent that is away":        {[]string{"s1* v2", "a1 v1 down", "a2 v1"}, "s1=Done", nil, "Running: s1=Done a2=Running", ""},
		"agents that are away":         {[]string{"s1* v2", "a1 v1 down"}, "s1=Done", nil, "Running: s1=Done", "waits for a1, which is not ready"},
		"paused":                       {old3, "", func(v *View) { v.Spec.Paused = true }, "Paused:", "no further node"},
		"paused in the middle":         {[]string{"s1* v2", "a1 v1"}, "s1=Running", func(v *View) { v.Spec.Paused = true }, "Paused: s1=Done", "no further node"},
		"the first failure ends it":    {[]string{"s1 v1 disk-full", "s2* v1", "a1 v1"}, "s1=Running", nil, "Failed: s1=Failed", "s1: disk-full"},
		"a failure of another upgrade": {[]string{"s1 v1 disk-full", "s2* v1"}, "", nil, "Running: s1=Running", ""},
		"silence":                      {[]string{"s1* v1 down"}, "s1=Running", func(v *View) { v.Now = now.Add(time.Hour) }, "Failed: s1=Failed", "nothing was heard of it"},
		"done, and still cordoned":     {[]string{"s1* v2"}, "s1=Running!", nil, "Running: s1=Done", ""},
		"failed, and still cordoned":   {[]string{"s1* v1 disk-full", "a1 v1"}, "s1=Running!", nil, "Running: s1=Failed", "s1: disk-full"},
		"a node that has left":         {[]string{"s1* v2"}, "s1=Done a1=Running", nil, "Done: s1=Done", ""},
		"a node that has joined":       {[]string{"s1* v2", "a9 v1"}, "s1=Done", nil, "Running: s1=Done a9=Running", ""},
	} {
		v := View{Spec: Spec{Version: "v2"}, Nodes: nodesOf(c.nodes...), Status: statusOf(c.status), Timeout: time.Minute, Now: now}
		if c.change != nil {
			c.change(&v)
		}
		got := Decide(v)
		if got.text() != c.want || !strings.Contains(got.Message, c.says) || c.says == "" && got.Message != "" {
			t.Errorf("%s: %s (%s), want %s (%s)", name, got.text(), got.Message, c.want, c.says)
		}
	}
}

// TestAWholeCluster is led from the first node to the last, and at no moment are
// two servers away.
func TestAWholeCluster(t *testing.T) {
	t.Parallel()
	nodes := nodesOf("s1 v1", "s2* v1", "s3 v1", "a1 v1", "a2 v1", "a3 v1", "a4 v1")
	var order []string
	v := View{Spec: Spec{Version: "v2"}, Timeout: time.Minute, Now: now}
	for range 20 {
		v.Nodes = nodes
		v.Status = Decide(v)
		servers := 0
		for i := range nodes {
			if v.Status.node(nodes[i].Name).State != Running {
				continue
			}
			if nodes[i].Server {
				servers++
			}
			order = append(order, nodes[i].Name)
			nodes[i].Version = "v2"
		}
		if servers > 1 {
			t.Fatalf("%d servers at once: %s", servers, v.Status.text())
		}
	}
	if got := fmt.Sprint(order); got != "[s1 s3 s2 a1 a2 a3 a4]" || v.Status.Phase != Done {
		t.Errorf("%s, %s", got, v.Status.text())
	}
}
