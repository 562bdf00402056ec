package space

import (
	"cmp"
	"slices"
	"time"
)

const (
	// warnAt is the share of the quota, in percent, from which on somebody is
	// told: there is time to act, and it is not reached by chance.
	warnAt = 70
	// liftAt is the share below which the alarm of a full database is lifted.
	liftAt = 90
	// worth is how much free space, in bytes, a database has to hold for it to
	// be written anew: requests to the member wait meanwhile, a second per GB.
	worth = 64 << 20
	// again is how long a member is left alone after that, unless there is an
	// alarm.
	again = 30 * time.Minute
)

// Member is the database of one member of etcd.
type Member struct {
	ID          uint64
	Name        string
	URL         string
	Leader      bool
	Size        int64     // bytes of the file
	InUse       int64     // bytes that hold something
	Quota       int64     // bytes
	Defragments time.Time // the last time, as far as is known
}

func (m Member) free() int64 { return m.Size - m.InUse }

// next is the member whose database is to be written anew now, if there is one:
// one at a time, and the leader last.
func next(members []Member, alarm bool, now time.Time) (Member, bool) {
	members = slices.Clone(members)
	slices.SortStableFunc(members, func(a, b Member) int { return cmp.Compare(rank(a), rank(b)) })
	for _, m := range members {
		full := m.Quota > 0 && m.Size*100 >= m.Quota*warnAt
		gain := m.free() >= worth && m.free()*2 >= m.Size || full && m.free()*10 >= m.Size
		rested := now.Sub(m.Defragments) >= again
		if gain && (rested || alarm) {
			return m, true
		}
	}
	return Member{}, false
}

func rank(m Member) int {
	if m.Leader {
		return 1
	}
	return 0
}

// roomy says whether every database is so far below its quota that the alarm can
// be lifted.
func roomy(members []Member) bool {
	for _, m := range members {
		if m.Quota > 0 && m.Size*100 >= m.Quota*liftAt {
			return false
		}
	}
	return true
}
