package etcd

import "testing"

// Whoever has others leaves elections to their own time: one that is asked for
// takes the lead from the member that has it.
func TestAloneIsTheOnlyVoter(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		voters []uint64
		want   bool
	}{
		"nobody votes":       {nil, false},
		"itself":             {[]uint64{1}, true},
		"another one":        {[]uint64{2}, false},
		"itself and another": {[]uint64{1, 2}, false},
	} {
		voters := map[uint64]struct{}{}
		for _, id := range c.voters {
			voters[id] = struct{}{}
		}
		if got := alone(1, voters); got != c.want {
			t.Errorf("%s: alone %v, want %v", what, got, c.want)
		}
	}
}
