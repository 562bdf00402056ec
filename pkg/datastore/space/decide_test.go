package space

import (
	"strings"
	"testing"
	"time"
)

const (
	mb = 1 << 20
	gb = 1 << 30
)

func TestNext(t *testing.T) {
	t.Parallel()
	now := time.Now()
	half := Member{Name: "half", Size: 400 * mb, InUse: 100 * mb, Quota: 8 * gb}
	leader := half
	leader.Name, leader.Leader = "leader", true
	recent := half
	recent.Defragments = now.Add(-time.Minute)
	for name, c := range map[string]struct {
		members []Member
		alarm   bool
		want    string
	}{
		"nothing":                   {nil, false, ""},
		"small":                     {[]Member{{Size: 50 * mb, InUse: mb, Quota: 8 * gb}}, false, ""},
		"mostly used":               {[]Member{{Size: 400 * mb, InUse: 300 * mb, Quota: 8 * gb}}, false, ""},
		"mostly free":               {[]Member{half}, false, "half"},
		"the leader last":           {[]Member{leader, half}, false, "half"},
		"the leader alone":          {[]Member{leader}, false, "leader"},
		"not again so soon":         {[]Member{recent}, false, ""},
		"again with an alarm":       {[]Member{recent}, true, "half"},
		"nearly full, some of it":   {[]Member{{Name: "full", Size: 6 * gb, InUse: 5 * gb, Quota: 8 * gb}}, false, "full"},
		"nearly full, none to gain": {[]Member{{Name: "full", Size: 6 * gb, InUse: 6*gb - mb, Quota: 8 * gb}}, false, ""},
		"a quota that is not known": {[]Member{{Size: 6 * gb, InUse: 5 * gb}}, false, ""},
	} {
		m, found := next(c.members, c.alarm, now)
		if m.Name != c.want || found != (c.want != "") {
			t.Errorf("%s: %q, want %q", name, m.Name, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		u    Usage
		want string
	}{
		"nothing known": {Usage{}, ""},
		"at ease":       {Usage{Size: gb, Quota: 8 * gb, DiskFree: 10 * gb, DiskSize: 100 * gb}, ""},
		"70 %":          {Usage{Size: 6 * gb, Quota: 8 * gb}, "75 % of its quota"},
		"alarm":         {Usage{Size: 8 * gb, Quota: 8 * gb, Alarm: true}, "takes no writes"},
		"no disk left":  {Usage{Size: gb, Quota: 8 * gb, Alarm: true, Voters: 1, DiskFree: 10 * mb, DiskSize: 100 * gb}, "has 10.5 MB left, and it takes no writes: make room"},
		"disk":          {Usage{DiskFree: 100 * mb, DiskSize: 100 * gb}, "the disk below the datastore has 104.9 MB left"},
		"small disk":    {Usage{DiskFree: 900 * mb, DiskSize: 4 * gb}, ""},
	} {
		err := c.u.problem()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A member that is alone rests before its disk is full; one of several leaves the
// cluster's writes to the others.
func TestMustRest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		u    Usage
		want bool
	}{
		"no room for a log":         {Usage{Voters: 1, DiskFree: 63 * mb, DiskSize: 100 * gb}, true},
		"room for a log":            {Usage{Voters: 1, DiskFree: 65 * mb, DiskSize: 100 * gb}, false},
		"a small disk":              {Usage{Voters: 1, DiskFree: 30 * mb, DiskSize: 300 * mb}, false},
		"a small disk that is full": {Usage{Voters: 1, DiskFree: 10 * mb, DiskSize: 300 * mb}, true},
		"one of three":              {Usage{Voters: 3, DiskFree: mb, DiskSize: 100 * gb}, false},
		"with one that joins":       {Usage{Voters: 1, Learners: 1, DiskFree: mb, DiskSize: 100 * gb}, false},
		"not etcd":                  {Usage{DiskFree: mb, DiskSize: 100 * gb}, false},
		"elsewhere":                 {Usage{Voters: 1}, false},
	} {
		if got := c.u.mustRest(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
