package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is where a component is in its life.
type State string

// The states of a component; doc.go draws how they follow each other.
const (
	Waiting  State = "waiting"  // for components that come before it
	Starting State = "starting" // Run was called, and Ready is not nil yet
	Ready    State = "ready"
	Degraded State = "degraded" // was ready, and its probe fails now
	Stopping State = "stopping"
	Stopped  State = "stopped"
	Failed   State = "failed"
	Skipping State = "skipped" // not run in this mode
)

// Status is what is known of one component.
type Status struct {
	Name       string    `json:"name"`
	State      State     `json:"state"`
	Since      time.Time `json:"since"`                // when it came into this state
	WaitingFor []string  `json:"waitingFor,omitempty"` // of those it comes after, who is not ready
	Reason     string    `json:"reason,omitempty"`     // why it is skipped, or was never started
	Note       string    `json:"note,omitempty"`       // what there is to say of it while it is ready
	Started    time.Time `json:"started,omitzero"`     // when Run was called
	ReadyAfter float64   `json:"readyAfter,omitempty"` // seconds from Run being called to ready, the first time
	Lapses     int       `json:"lapses,omitempty"`     // how often it was ready and then was not
	LastError  string    `json:"lastError,omitempty"`  // of its last probe that failed, or of Run
	Once       bool      `json:"once,omitempty"`       // a step, which is ready when it has ended
}

// OK says that nobody needs to wait for this component or to look at it.
func (s Status) OK() bool { return s.State == Ready || s.State == Skipping }

// sameAs says whether there is nothing new to tell. WaitingFor follows from
// other components' states.
func (s Status) sameAs(o Status) bool {
	return s.State == o.State && s.Reason == o.Reason && s.LastError == o.LastError
}

// Snapshot is the state of all components at one moment, in the order in
// which they were given.
type Snapshot struct {
	Started    time.Time `json:"started"`              // of the supervisor
	ReadyAfter float64   `json:"readyAfter,omitempty"` // seconds until all were ready, the first time
	Components []Status  `json:"components"`
}

// Ready says whether every component is ready.
func (s Snapshot) Ready() bool {
	return len(s.Components) > 0 && !slices.ContainsFunc(s.Components, func(c Status) bool { return !c.OK() })
}

// Pending names the components that are not ready, without those that only
// wait for others: they say nothing that the others do not.
func (s Snapshot) Pending() string {
	var names []string
	for _, c := range s.Components {
		if !c.OK() && c.State != Waiting {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, ", ")
}

// Line says in one line how it goes: "waiting for datastore (12 s)". It is
// what systemctl status shows.
func (s Snapshot) Line(now time.Time) string {
	stopping := slices.ContainsFunc(s.Components, func(c Status) bool { return c.State == Stopping || c.State == Stopped || c.State == Failed })
	switch {
	case s.Ready():
		return fmt.Sprintf("ready: %d components, after %.1f s", len(s.Components), s.ReadyAfter)
	case stopping:
		return "stopping: " + s.Pending()
	}
	oldest := now
	for _, c := range s.Components {
		if (c.State == Starting || c.State == Degraded) && c.Since.Before(oldest) {
			oldest = c.Since
		}
	}
	return fmt.Sprintf("waiting for %s (%d s)", s.Pending(), int(now.Sub(oldest).Seconds()))
}
