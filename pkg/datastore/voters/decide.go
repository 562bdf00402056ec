package voters

import (
	"fmt"
	"slices"
	"time"
)

// Verb is what to do with a member.
type Verb string

// The verbs.
const (
	Promote Verb = "promote"
	Remove  Verb = "remove"
)

// Action is one step.
type Action struct {
	Verb   Verb
	Member Member
	Reason string
}

// String names the step for the log and for scripts.
func (a Action) String() string { return fmt.Sprintf("%s %s: %s", a.Verb, a.Member.Name, a.Reason) }

const (
	// enough voters survive the loss of one of them. More would make writes
	// slower; those that come later stand by.
	enough = 3
	// caughtUp is how many entries a learner may be behind for its promotion:
	// about a second of a busy cluster. etcd itself asks for 90 % of the log.
	caughtUp = 1000
)

// Decide says what to do next, in order. Grace is how long a voter may be away
// before a learner takes its place.
func Decide(members []Member, grace time.Duration) []Action {
	for _, m := range members {
		switch {
		case m.Name == "":
			if m.Learner && m.Away > grace {
				return []Action{{Remove, m, "was added and has never started"}}
			}
		case m.Unbound && m.Learner:
			return []Action{{Remove, m, "its node was deleted"}}
		case m.Unbound && survives(members, m):
			return []Action{{Remove, m, "its node was deleted"}}
		}
	}
	voters, leaving := 0, false
	for _, m := range members {
		if !m.Learner {
			voters++
			leaving = leaving || m.Unbound
		}
	}
	able := ableToVote(members)
	switch {
	case len(able) == 0:
		return nil
	case voters == 1 && leaving:
		return []Action{{Promote, able[0], "the only voter leaves"}}
	case voters == 1 && len(able) >= 2:
		reason := "with two more voters any one of three may fail"
		return []Action{{Promote, able[0], reason}, {Promote, able[1], reason}}
	case voters < enough && voters%2 == 0:
		return []Action{{Promote, able[0], "an even number of voters is worse than one less"}}
	}
	for _, m := range members {
		if !m.Learner && m.Away > grace && survives(members, m) {
			return []Action{{Remove, m, fmt.Sprintf("away for %s, and %s can take its place", m.Away.Round(time.Second), able[0].Name)}}
		}
	}
	return nil
}

// ableToVote are the learners that can be promoted, those that are behind the
// least first.
func ableToVote(members []Member) []Member {
	var able []Member
	for _, m := range members {
		if m.Learner && m.Name != "" && m.Reachable && !m.Unbound && m.Behind <= caughtUp {
			able = append(able, m)
		}
	}
	slices.SortFunc(able, func(a, b Member) int { return int(min(a.Behind, caughtUp)) - int(min(b.Behind, caughtUp)) })
	return able
}

// MayLeave says whether a member can be removed: a learner always, a voter if a
// majority is left, or a learner can take its place.
func MayLeave(members []Member, leaving Member) bool {
	voters := slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.Learner })
	return leaving.Learner || survives(members, leaving) || len(voters) == 1 && len(ableToVote(members)) > 0
}

// survives says whether a majority of voters is there when one is gone for
// good.
func survives(members []Member, gone Member) bool {
	voters, there := 0, 0
	for _, m := range members {
		if m.Learner || m.ID == gone.ID {
			continue
		}
		voters++
		if m.Reachable {
			there++
		}
	}
	return voters > 0 && there > voters/2
}

// problemOf is what keeps a member from what is wanted of it, "" if nothing does.
func problemOf(members []Member, m Member) string {
	switch {
	case m.Unbound && !MayLeave(members, m):
		return "its node was deleted, and it stays: without it etcd would have no majority"
	case m.Problem == "" && m.Learner && m.Behind > caughtUp:
		return fmt.Sprintf("is %d entries behind and cannot be promoted yet", m.Behind)
	}
	return m.Problem
}
