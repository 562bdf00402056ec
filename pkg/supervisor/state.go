package supervisor

import (
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
	Stopped  State = "stopped" // also a step that has ended well
	Failed   State = "failed"
	Skipping State = "skipped" // not run in this mode
)

// Status is what is known of one component.
type Status struct {
	Name       string    `json:"name"`
	State      State     `json:"state"`
	Since      time.Time `json:"since"`                // when it came into this state
	Reason     string    `json:"reason,omitempty"`     // whom it waits for, or why it is skipped
	Started    time.Time `json:"started,omitzero"`     // when Run was called
	ReadyAfter float64   `json:"readyAfter,omitempty"` // seconds from Run being called to ready, the first time
	LastError  string    `json:"lastError,omitempty"`  // of its last probe that failed, or of Run
	Once       bool      `json:"once,omitempty"`
}

// ok says that nobody needs to wait for or look at this component.
func (s Status) ok() bool {
	return s.State == Ready || s.State == Skipping || s.Once && s.State == Stopped && s.LastError == ""
}

// Snapshot is the state of all components at one moment.
type Snapshot struct {
	Started    time.Time `json:"started"`              // of the supervisor
	ReadyAfter float64   `json:"readyAfter,omitempty"` // seconds until all were ready, the first time
	Components []Status  `json:"components"`
}

// Ready says whether every component is ready.
func (s Snapshot) Ready() bool {
	return len(s.Components) > 0 && !slices.ContainsFunc(s.Components, func(c Status) bool { return !c.ok() })
}

// Pending names the components that are not ready, with what they wait for.
func (s Snapshot) Pending() string {
	var names []string
	for _, c := range s.Components {
		// Who waits for another one says nothing that the other does not.
		if !c.ok() && c.State != Waiting {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, ", ")
}
