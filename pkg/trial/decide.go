package trial

import (
	"fmt"
	"strings"
)

// maxStarts is how often the new program is started. A start that was cut off by
// a loss of power says nothing of it; three do.
const maxStarts = 3

// step is what a start does about a trial.
type step string

const (
	run    step = "run"    // go on
	try    step = "try"    // count the start, and execute the candidate
	finish step = "finish" // the candidate was ready and has its place; note it, and go on
	back   step = "back"   // end the trial, and have the old program go on
)

// seen is what a start finds beside the record.
type seen struct {
	version   string // of this very program
	candidate bool   // whether there is a file of the candidate
}

// decide says what a start does, and when it ends a trial, why.
func decide(r Record, there bool, s seen) (step, string) {
	switch {
	case !there:
		return run, ""
	case s.version == r.To && !s.candidate:
		return finish, "" // stopped between the rename and its note
	case r.Abandoned != "":
		return back, r.Abandoned
	case !s.candidate:
		return back, "the new program, " + r.Candidate + ", is gone"
	case s.version != r.From && s.version != r.To:
		return back, fmt.Sprintf("%s has become kelp %s meanwhile", r.Program, s.version)
	case r.Starts >= maxStarts:
		return back, strings.TrimSuffix(fmt.Sprintf("it did not become ready in %d starts: %s", r.Starts, r.LastError), ": ")
	}
	return try, ""
}
