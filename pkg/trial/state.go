package trial

import (
	"fmt"
	"time"
)

// State is what there is to tell of upgrades.
type State struct {
	Trial *Record  `json:"trial,omitempty"` // the one that is on trial
	Last  *Outcome `json:"last,omitempty"`  // how the last one has ended
	// Problem is why it is not known.
	Problem string `json:"problem,omitempty"`
}

// State returns it.
func (s Store) State() State {
	var st State
	r, there, err := s.Read()
	if there {
		st.Trial = &r
	}
	o, was, lastErr := s.Last()
	if was {
		st.Last = &o
	}
	for _, err := range []error{err, lastErr} {
		if err != nil {
			st.Problem = err.Error()
		}
	}
	return st
}

// Line is the state on one line, empty when there was never an upgrade.
func (st State) Line(now time.Time) string {
	switch {
	case st.Problem != "":
		return st.Problem
	case st.Trial != nil && st.Trial.Abandoned != "":
		return fmt.Sprintf("to %s is given up, and %s starts: %s", st.Trial.To, st.Trial.From, st.Trial.Abandoned)
	case st.Trial != nil:
		return fmt.Sprintf("to %s is on trial for %s, start %d of %d; kelp upgrade --rollback ends it", st.Trial.To, now.Sub(st.Trial.Began).Round(time.Second), st.Trial.Starts, maxStarts)
	case st.Last != nil && st.Last.Succeeded:
		return fmt.Sprintf("from %s to %s, %s", st.Last.From, st.Last.To, st.Last.Ended.Local().Format(time.DateTime))
	case st.Last != nil:
		return fmt.Sprintf("to %s FAILED %s, and %s runs again: %s", st.Last.To, st.Last.Ended.Local().Format(time.DateTime), st.Last.From, st.Last.Reason)
	}
	return ""
}
