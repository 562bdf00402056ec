package preflight

import (
	"context"
	"errors"

	"github.com/containerd/log"
)

// Level says how much a finding matters.
type Level string

// The levels of findings.
const (
	Good    Level = "good"
	Warning Level = "warning" // kelp runs, but not as well as it could
	Error   Level = "error"   // kelp cannot run
)

// Finding is what one check has found.
type Finding struct {
	Level Level  `json:"level"`
	Check string `json:"check"`         // what was looked at: "port 6443"
	Text  string `json:"text"`          // what was found
	Fix   string `json:"fix,omitempty"` // what a person can do, if it is not good
}

// Line is the finding in one line, with what to do.
func (f Finding) Line() string {
	if f.Fix == "" {
		return f.Text
	}
	return f.Text + ": " + f.Fix
}

func good(check, text string) Finding { return Finding{Level: Good, Check: check, Text: text} }

func warning(check, text, fix string) Finding {
	return Finding{Level: Warning, Check: check, Text: text, Fix: fix}
}

func failure(check, text, fix string) Finding {
	return Finding{Level: Error, Check: check, Text: text, Fix: fix}
}

// Report is all findings, in the order of the checks.
type Report struct {
	Findings []Finding `json:"findings"`
	// Holder is the process of the kelp that runs on the data directory, 0 if
	// there is none; -1 if it cannot be told which process it is.
	Holder int `json:"holder,omitempty"`
}

// Err joins all errors, nil if there is none.
func (r Report) Err() error {
	var errs []error
	for _, f := range r.Findings {
		if f.Level == Error {
			errs = append(errs, errors.New(f.Line()))
		}
	}
	return errors.Join(errs...)
}

// Log writes the warnings to the log of ctx.
func (r Report) Log(ctx context.Context) {
	for _, f := range r.Findings {
		if f.Level == Warning {
			log.G(ctx).WithField("check", f.Check).Warn(f.Line())
		}
	}
}
