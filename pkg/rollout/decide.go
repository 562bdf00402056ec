package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// agentsAtOnce is how many agents are upgraded side by side, unless they are
	// drained: then there might be no room for their pods.
	agentsAtOnce = 3
	// beside is what a node needs beside its start: to fetch the program, and to
	// rehearse.
	beside = 30 * time.Minute
)

// Node is a node as the API knows it.
type Node struct {
	Name    string
	Server  bool
	Leader  bool // runs what runs once
	Ready   bool
	Version string
	Failure string // why it says that the upgrade of itself has failed
}

// View is what a decision goes by.
type View struct {
	Spec    Spec
	Status  Status
	Nodes   []Node
	Voters  string // what is the matter with etcd's members, if something is
	Timeout time.Duration
	Now     time.Time
}

// Decide returns the status that follows. A node that it says is Running is told
// by it to upgrade itself.
func Decide(v View) Status {
	s := Status{Phase: Running}
	for _, n := range v.Nodes {
		s.Nodes = append(s.Nodes, v.progress(n))
	}
	order(v, s.Nodes)
	for _, n := range s.Nodes {
		if n.State == Failed {
			s.Message = fmt.Sprintf("%s: %s", n.Name, n.Message)
			return s.finished(Failed)
		}
	}
	if !slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return n.State != Done }) {
		return s.finished(Done)
	}
	if s.Message = v.obstacle(s); s.Message != "" {
		return s
	}
	if v.Spec.Paused {
		s.Phase, s.Message = Paused, "no further node is begun"
		return s
	}
	v.begin(&s)
	return s
}

// finished is the end, when every node that was cordoned takes pods again.
func (s Status) finished(phase string) Status {
	if !slices.ContainsFunc(s.Nodes, NodeStatus.held) {
		s.Phase = phase
	}
	return s
}

// held says whether a node is over, and has still to be uncordoned.
func (n NodeStatus) held() bool { return n.Cordoned && (n.State == Done || n.State == Failed) }

// progress is the entry of a node, after a look at it.
func (v View) progress(n Node) NodeStatus {
	e := v.Status.node(n.Name)
	e.Version = n.Version
	now := metav1.NewTime(v.Now)
	ended := func(state, message string) {
		e.State, e.Message, e.Ended = state, message, &now
	}
	arrived := n.Ready && n.Version == v.Spec.Version
	switch e.State {
	case Running:
		limit := v.Timeout + beside
		switch {
		case n.Failure != "":
			ended(Failed, n.Failure)
		case arrived:
			ended(Done, "")
		case e.Started != nil && v.Now.Sub(e.Started.Time) > limit:
			ended(Failed, fmt.Sprintf("nothing was heard of it for %s", limit))
		}
	case "":
		if arrived {
			ended(Done, "")
		}
	}
	return e
}

// order has servers first, the one that leads last of them.
func order(v View, entries []NodeStatus) {
	rank := func(e NodeStatus) int {
		switch n := v.node(e.Name); {
		case n.Server && !n.Leader:
			return 0
		case n.Server:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(entries, func(a, b NodeStatus) int {
		if by := rank(a) - rank(b); by != 0 {
			return by
		}
		return strings.Compare(a.Name, b.Name)
	})
}

func (v View) node(name string) Node {
	i := slices.IndexFunc(v.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{Name: name}
	}
	return v.Nodes[i]
}

// obstacle is why no further node may be begun, empty if one may.
func (v View) obstacle(s Status) string {
	for _, e := range s.Nodes {
		n := v.node(e.Name)
		switch {
		case e.State == Done && (!n.Ready || n.Version != v.Spec.Version):
			return fmt.Sprintf("waits for %s, which was upgraded and is not ready with it", n.Name)
		case n.Server && (e.State == Running || e.State == Draining):
			return n.Name + " is being upgraded"
		}
	}
	if !v.left(s, true) {
		return ""
	}
	for _, n := range v.Nodes {
		if n.Server && !n.Ready {
			return fmt.Sprintf("waits for the server %s, which is not ready", n.Name)
		}
	}
	if v.Voters != "" {
		return "waits for etcd: " + v.Voters
	}
	return ""
}

// left says whether servers, or agents, are to be begun.
func (v View) left(s Status, servers bool) bool {
	return slices.ContainsFunc(s.Nodes, func(e NodeStatus) bool { return e.State == "" && v.node(e.Name).Server == servers })
}

// begin begins the next nodes.
func (v View) begin(s *Status) {
	first := Running
	if v.Spec.Cordon || v.Spec.Drain {
		first = Draining
	}
	servers, room := v.left(*s, true), agentsAtOnce
	if servers || v.Spec.Drain {
		room = 1
	}
	var waits []string
	for i := range s.Nodes {
		e := &s.Nodes[i]
		n := v.node(e.Name)
		switch {
		case e.State == Running || e.State == Draining:
			room--
		case e.State != "" || servers && !n.Server:
		case !n.Ready:
			waits = append(waits, n.Name)
		case room > 0:
			now := metav1.NewTime(v.Now)
			e.State, e.Started = first, &now
			room--
		}
	}
	busy := slices.ContainsFunc(s.Nodes, func(e NodeStatus) bool { return e.State == Running || e.State == Draining })
	if !busy && len(waits) > 0 {
		s.Message = fmt.Sprintf("waits for %s, which is not ready", strings.Join(waits, ", "))
	}
}
