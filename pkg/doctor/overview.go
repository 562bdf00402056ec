package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Overview is the whole cluster, as one server sees it.
type Overview struct {
	// Problem is why there is no more to tell.
	Problem string     `json:"problem,omitempty"`
	Nodes   []Member   `json:"nodes,omitempty"`
	Store   StoreState `json:"datastore"`
	// Leader is the server that runs what runs once; empty with one server.
	Leader      string        `json:"leader,omitempty"`
	Certificate Ending        `json:"certificate,omitzero"`
	Snapshot    SnapshotState `json:"snapshot,omitzero"`
	Upgrade     UpgradeState  `json:"upgrade,omitzero"` // of the cluster, the last one
}

// Member is one machine of the cluster.
type Member struct {
	Name    string `json:"name"`
	Server  bool   `json:"server"`
	Ready   bool   `json:"ready"`
	State   string `json:"state"` // for people: ready, or why not
	Version string `json:"version,omitempty"`
	Address string `json:"address,omitempty"`
	Etcd    string `json:"etcd,omitempty"` // leader, voter, learner, or what is the matter
}

// StoreState is the datastore in short.
type StoreState struct {
	Kind     config.DatastoreKind `json:"kind,omitempty"`
	Voters   int                  `json:"voters,omitempty"`
	Learners int                  `json:"learners,omitempty"`
	Leader   string               `json:"leader,omitempty"`
	Size     int64                `json:"size,omitempty"` // bytes
	Problem  string               `json:"problem,omitempty"`
}

// Ending is the certificate of this machine that ends first.
type Ending struct {
	Name     string    `json:"name"`
	NotAfter time.Time `json:"notAfter"`
	DaysLeft int       `json:"daysLeft"`
}

// SnapshotState is what there is to go back to.
type SnapshotState struct {
	Newest time.Time `json:"newest,omitzero"` // that is good
	Node   string    `json:"node,omitempty"`  // which has it
	Good   int       `json:"good"`
	Failed int       `json:"failed,omitempty"`
}

func firstEnding(list []pki.Status) Ending {
	var first Ending
	for _, c := range list {
		if !c.NotAfter.IsZero() && (first.Name == "" || c.NotAfter.Before(first.NotAfter)) {
			first = Ending{c.Name, c.NotAfter, c.DaysLeft}
		}
	}
	return first
}

// summarise puts together what was seen.
func summarise(o *Overview, seen Cluster, members []voters.Member) {
	o.Leader = holderOf(Evidence{Cluster: seen})
	for i := range seen.Nodes {
		o.Nodes = append(o.Nodes, memberOf(&seen.Nodes[i]))
	}
	for _, m := range members {
		state := "voter"
		switch {
		case m.Learner:
			state = "learner"
			o.Store.Learners++
		case m.Leader:
			state, o.Store.Leader = "leader", m.Name
		}
		if !m.Learner {
			o.Store.Voters++
		}
		if m.Problem != "" {
			state += ", " + m.Problem
		}
		o.Store.Size = max(o.Store.Size, m.DBSize)
		i := slices.IndexFunc(o.Nodes, func(n Member) bool { return n.Name == m.Name })
		if i < 0 { // a server with --disable-agent is no node
			o.Nodes = append(o.Nodes, Member{Name: orElse(m.Name, "(joining)"), Ready: m.Problem == "", State: "no node"})
			i = len(o.Nodes) - 1
		}
		o.Nodes[i].Server, o.Nodes[i].Etcd = true, state
	}
	slices.SortStableFunc(o.Nodes, func(a, b Member) int {
		if a.Server != b.Server {
			return map[bool]int{true: -1, false: 1}[a.Server]
		}
		return strings.Compare(a.Name, b.Name)
	})
	o.Upgrade = lastUpgrade(seen.Upgrades)
	o.Snapshot.Newest, o.Snapshot.Node = newestSnapshot(seen.Snapshots)
	for _, s := range seen.Snapshots {
		if field(s, "status", "state") == "Good" {
			o.Snapshot.Good++
		} else {
			o.Snapshot.Failed++
		}
	}
}

func memberOf(n *corev1.Node) Member {
	m := Member{Name: n.Name, Server: isServer(n), Version: n.Status.NodeInfo.KubeletVersion, Address: internal(*n), State: "not ready"}
	switch c := condition(n, corev1.NodeReady); {
	case c == nil:
	case c.Status == corev1.ConditionTrue:
		m.Ready, m.State = true, "ready"
	case c.Status == corev1.ConditionUnknown:
		m.State = "silent"
	}
	if n.Spec.Unschedulable {
		m.State += ", cordoned"
	}
	return m
}

// Print writes the overview for people.
func (o Overview) Print(w io.Writer, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(what, format string, values ...any) {
		fmt.Fprintf(t, "%s\t%s\n", what, fmt.Sprintf(format, values...))
	}
	if len(o.Nodes) > 0 {
		line("cluster", "%s", o.counts())
	}
	if o.Store.Kind != "" {
		line("datastore", "%s", o.Store.line())
	}
	if o.Leader != "" {
		line("leader", "%s runs what runs once", o.Leader)
	}
	switch s := o.Snapshot; {
	case !s.Newest.IsZero():
		line("snapshots", "%d, the newest %s old, on %s%s", s.Good, short(now.Sub(s.Newest)), s.Node, failed(s.Failed))
	case s.Failed > 0:
		line("snapshots", "none is good%s", failed(s.Failed))
	case o.Problem == "" && o.Store.Kind != "":
		line("snapshots", "none yet")
	}
	if o.Upgrade.Name != "" {
		line("upgrade", "%s", o.Upgrade.line())
	}
	if o.Certificate.Name != "" {
		line("certificates", "of this machine, %s ends first, in %d days", o.Certificate.Name, o.Certificate.DaysLeft)
	}
	if o.Problem != "" {
		line("note", "%s", oneLine(o.Problem))
	}
	if err := t.Flush(); err != nil || len(o.Nodes) == 0 {
		return err
	}
	fmt.Fprintln(t, "\nNODE\tROLE\tSTATE\tVERSION\tADDRESS\tETCD")
	for _, n := range o.Nodes {
		role := "agent"
		if n.Server {
			role = "server"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, role, n.State, orElse(n.Version, "-"), orElse(n.Address, "-"), oneLine(orElse(n.Etcd, "-")))
	}
	return t.Flush()
}

func failed(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of no use", n)
}

func (s StoreState) line() string {
	text := kindName(s.Kind)
	if s.Kind == config.DatastoreEtcd && s.Problem == "" {
		text += fmt.Sprintf(": %d voters", s.Voters)
		if s.Learners > 0 {
			text += fmt.Sprintf(", %d learners", s.Learners)
		}
		text += fmt.Sprintf(", %s leads, %.1f MB", orElse(s.Leader, "nobody"), float64(s.Size)/1e6)
	}
	if s.Problem != "" {
		text += ": " + oneLine(s.Problem)
	}
	return text
}

// counts are the machines by role, and what they run.
func (o Overview) counts() string {
	servers, ready := 0, 0
	var versions []string
	for _, n := range o.Nodes {
		if n.Server {
			servers++
		}
		if n.Ready {
			ready++
		}
		if n.Version != "" && !slices.Contains(versions, n.Version) {
			versions = append(versions, n.Version)
		}
	}
	slices.Sort(versions)
	state := "all ready"
	if ready < len(o.Nodes) {
		state = fmt.Sprintf("%d of %d ready", ready, len(o.Nodes))
	}
	return fmt.Sprintf("servers: %d, agents: %d, %s; %s", servers, len(o.Nodes)-servers, state, strings.Join(versions, " and "))
}
