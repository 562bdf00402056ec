package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Level says how much an answer matters.
type Level string

// The levels of answers.
const (
	Good    Level = "good"
	Warning Level = "warning" // it works, and will not for ever or for all
	Problem Level = "problem" // something does not work
	Unknown Level = "unknown" // it could not be asked, for another answer's reason
)

// Answer is what the doctor says of one thing.
type Answer struct {
	Level   Level    `json:"level"`
	Subject string   `json:"subject"`         // what was asked for: "pods"
	Text    string   `json:"text"`            // what was found
	Cause   string   `json:"cause,omitempty"` // why it is so
	Next    []string `json:"next,omitempty"`  // what to do, mostly commands
}

func good(subject, format string, values ...any) Answer {
	return Answer{Level: Good, Subject: subject, Text: fmt.Sprintf(format, values...)}
}

func problem(subject, text, cause string, next ...string) Answer {
	return Answer{Level: Problem, Subject: subject, Text: text, Cause: cause, Next: next}
}

func warning(subject, text, cause string, next ...string) Answer {
	return Answer{Level: Warning, Subject: subject, Text: text, Cause: cause, Next: next}
}

func unknown(subject, text string) Answer {
	return Answer{Level: Unknown, Subject: subject, Text: text}
}

// Report is all answers, in the order in which one thing needs the other.
type Report struct {
	Node    string    `json:"node"`
	Time    time.Time `json:"time"`
	Answers []Answer  `json:"answers"`
}

// Count is how many answers are of a level.
func (r Report) Count(level Level) int {
	n := 0
	for _, a := range r.Answers {
		if a.Level == level {
			n++
		}
	}
	return n
}

// Well says that no problem was found. Warnings are none.
func (r Report) Well() bool { return r.Count(Problem) == 0 }

// Summary is the report in one line.
func (r Report) Summary() string {
	if r.Well() && r.Count(Warning) == 0 {
		return "no problem was found"
	}
	var parts []string
	for _, level := range []Level{Problem, Warning} {
		switch n := r.Count(level); n {
		case 0:
		case 1:
			parts = append(parts, "1 "+string(level))
		default:
			parts = append(parts, fmt.Sprintf("%d %ss", n, level))
		}
	}
	return strings.Join(parts, ", ")
}

// Print writes the report for people, problems last, where they are seen.
func (r Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, level := range []Level{Good, Unknown, Warning, Problem} {
		for _, a := range r.Answers {
			if a.Level != level {
				continue
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", a.Level, a.Subject, oneLine(a.Text))
			if a.Cause != "" {
				fmt.Fprintf(t, "\t\tbecause %s\n", oneLine(a.Cause))
			}
			for _, next := range a.Next {
				fmt.Fprintf(t, "\t\t→ %s\n", next)
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s on %s: %s\n", r.Time.Format(time.DateTime), r.Node, r.Summary())
	return err
}

// oneLine is a text without what would break a table.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// grouped joins answers that differ in the object alone: the first one stands
// for all. Key is what they have in common.
type grouped struct {
	keys []string
	all  map[string][]Answer
}

func (g *grouped) add(key string, a Answer) {
	if g.all == nil {
		g.all = map[string][]Answer{}
	}
	if !slices.Contains(g.keys, key) {
		g.keys = append(g.keys, key)
	}
	g.all[key] = append(g.all[key], a)
}

// mostGroups is how many answers of one subject are shown.
const mostGroups = 15

func (g *grouped) answers() []Answer {
	var list []Answer
	for i, key := range g.keys {
		of := g.all[key]
		if i == mostGroups {
			list = append(list, Answer{Level: of[0].Level, Subject: of[0].Subject, Text: fmt.Sprintf("and %d more kinds of problems", len(g.keys)-i)})
			break
		}
		a := of[0]
		if n := len(of) - 1; n > 0 {
			a.Text += fmt.Sprintf(", and so are %d more", n)
		}
		list = append(list, a)
	}
	return list
}
