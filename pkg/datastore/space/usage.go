package space

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Usage is how much of the datastore and of the disk below it is in use.
type Usage struct {
	Size     int64 `json:"size"`            // bytes of the database
	InUse    int64 `json:"inUse,omitempty"` // bytes of it that hold something
	Quota    int64 `json:"quota,omitempty"` // bytes, 0 where there is none
	DiskFree int64 `json:"diskFree,omitempty"`
	DiskSize int64 `json:"diskSize,omitempty"`
	Alarm    bool  `json:"alarm,omitempty"` // etcd takes no writes any more

	HasLeader bool `json:"hasLeader,omitempty"` // etcd's member knows one
	Voters    int  `json:"voters,omitempty"`    // of etcd's members
	Learners  int  `json:"learners,omitempty"`
}

// count counts etcd's members.
func (u *Usage) count(ctx context.Context, client *clientv3.Client) error {
	list, err := client.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("list etcd's members: %w", err)
	}
	for _, m := range list.Members {
		if m.IsLearner {
			u.Learners++
		} else {
			u.Voters++
		}
	}
	return nil
}

// reserve is how much of a disk of this size has to be free for a single member to
// take writes: what etcd takes for its log at a time, or a twentieth of a small one.
func reserve(disk int64) int64 { return min(64<<20, disk/20) }

// mustRest says that the disk is so full that a member would end at one of the next
// writes. One of several does end, and the others go on.
func (u Usage) mustRest() bool {
	return u.Voters == 1 && u.Learners == 0 && u.DiskSize > 0 && u.DiskFree < reserve(u.DiskSize)
}

func (u Usage) problem() error {
	switch {
	case u.Alarm && u.Size*100 < u.Quota*liftAt:
		return fmt.Errorf("the disk below the datastore has %s left, and it takes no writes: make room; it goes on by itself", size(u.DiskFree))
	case u.Alarm:
		return fmt.Errorf("the datastore is full (%s of %s) and takes no writes: delete objects; it is tended and goes on by itself when there is room", size(u.Size), size(u.Quota))
	case u.Quota > 0 && u.Size*100 >= u.Quota*warnAt:
		return fmt.Errorf("the datastore holds %s, %d %% of its quota of %s, beyond which it takes no writes: find out what fills it", size(u.Size), u.Size*100/u.Quota, size(u.Quota))
	case u.DiskSize > 0 && u.DiskFree < diskLeft && u.DiskFree*100 < u.DiskSize*diskShare:
		return fmt.Errorf("the disk below the datastore has %s left: make room before it takes no writes", size(u.DiskFree))
	}
	return nil
}

// Tell says how large the database is.
func (s *Space) Tell() string {
	u := s.Usage()
	text := size(u.Size)
	if u.InUse > 0 && u.InUse < u.Size {
		text += fmt.Sprintf(", %d %% of it in use", u.InUse*100/u.Size)
	}
	if u.Quota > 0 {
		text += fmt.Sprintf(", %d %% of the quota of %s", u.Size*100/u.Quota, size(u.Quota))
	}
	if u.DiskSize > 0 {
		text += fmt.Sprintf("; the disk has %s left", size(u.DiskFree))
	}
	return text
}

func size(bytes int64) string {
	if bytes >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}
