package trial

import (
	"strings"
	"testing"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	r := Record{From: "v1", To: "v2", Candidate: "/bin/kelp.next"}
	with := func(change func(*Record)) Record {
		r := r
		change(&r)
		return r
	}
	old, swapped := seen{"v1", true}, seen{"v2", false}
	for name, c := range map[string]struct {
		record Record
		there  bool
		seen   seen
		want   step
		why    string
	}{
		"no trial":                   {Record{}, false, old, run, ""},
		"the first start":            {r, true, old, try, ""},
		"the third start":            {with(func(r *Record) { r.Starts = 2 }), true, old, try, ""},
		"three starts were too few":  {with(func(r *Record) { r.Starts, r.LastError = 3, "no disk" }), true, old, back, "3 starts: no disk"},
		"without a word":             {with(func(r *Record) { r.Starts = 3 }), true, old, back, "3 starts"},
		"given up":                   {with(func(r *Record) { r.Abandoned = "by hand" }), true, old, back, "by hand"},
		"given up by itself":         {with(func(r *Record) { r.Abandoned = "too slow" }), true, seen{"v2", true}, back, "too slow"},
		"the candidate started anew": {r, true, seen{"v2", true}, try, ""},
		"the candidate is gone":      {r, true, seen{"v1", false}, back, "is gone"},
		"it has its place":           {r, true, swapped, finish, ""},
		"it has its place at last":   {with(func(r *Record) { r.Starts = 3 }), true, swapped, finish, ""},
		"somebody else's program":    {r, true, seen{"v3", true}, back, "kelp v3 meanwhile"},
	} {
		got, why := decide(c.record, c.there, c.seen)
		if got != c.want || !strings.HasSuffix(why, c.why) && !strings.Contains(why, c.why) || c.why == "" && why != "" {
			t.Errorf("%s: %s, %q; want %s, %q", name, got, why, c.want, c.why)
		}
	}
}
