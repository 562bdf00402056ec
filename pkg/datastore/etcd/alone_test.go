package etcd

import (
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
)

// Whoever has others leaves elections to their own time: one that is asked for
// takes the lead from the member that has it.
func TestAloneIsTheOnlyVoter(t *testing.T) {
	t.Parallel()
	member := func(id types.ID, learner bool) *membership.Member {
		return &membership.Member{ID: id, RaftAttributes: membership.RaftAttributes{IsLearner: learner}}
	}
	for what, c := range map[string]struct {
		members []*membership.Member
		want    bool
	}{
		"no members":                {nil, false},
		"itself":                    {[]*membership.Member{member(1, false)}, true},
		"itself, a learner":         {[]*membership.Member{member(1, true)}, false},
		"another one":               {[]*membership.Member{member(2, false)}, false},
		"itself and another":        {[]*membership.Member{member(1, false), member(2, false)}, false},
		"itself and a learner":      {[]*membership.Member{member(1, false), member(2, true)}, true},
		"a learner, beside a voter": {[]*membership.Member{member(1, true), member(2, false)}, false},
	} {
		if got := alone(1, c.members); got != c.want {
			t.Errorf("%s: alone %v, want %v", what, got, c.want)
		}
	}
}
