package server

import (
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/datastore/voters"
)

func TestMayLeave(t *testing.T) {
	t.Parallel()
	member := func(id uint64, name string, learner, reachable bool) voters.Member {
		return voters.Member{ID: id, Name: name, Learner: learner, Reachable: reachable}
	}
	for name, c := range map[string]struct {
		members []voters.Member
		want    string
	}{
		"alone":                    {[]voters.Member{member(1, "own", false, true)}, "only server"},
		"not a member":             {[]voters.Member{member(2, "b", false, true)}, "no member"},
		"one of three":             {[]voters.Member{member(1, "own", false, true), member(2, "b", false, true), member(3, "c", false, true)}, ""},
		"one of two":               {[]voters.Member{member(1, "own", false, true), member(2, "b", false, true)}, ""},
		"one of three, one away":   {[]voters.Member{member(1, "own", false, true), member(2, "b", false, true), member(3, "c", false, false)}, "no majority"},
		"a learner":                {[]voters.Member{member(1, "own", true, true), member(2, "b", false, true)}, ""},
		"the only voter of two":    {[]voters.Member{member(1, "own", false, true), member(2, "b", true, true)}, ""},
		"... the learner is away":  {[]voters.Member{member(1, "own", false, true), member(2, "b", true, false)}, "no majority"},
		"a learner, one voter off": {[]voters.Member{member(1, "own", true, true), member(2, "b", false, false), member(3, "c", false, true)}, ""},
	} {
		own, err := mayLeave(c.members, "own")
		if c.want == "" && (err != nil || own.ID != 1) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v; want %q", name, own, err, c.want)
		}
	}
}
