package space

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/containerd/log"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"
)

const (
	// every is how often sizes are looked at, and soon when that failed, or
	// there is an alarm that could not be lifted.
	every, soon = 30 * time.Second, 3 * time.Second
	// askTimeout bounds a question; defragTimeout the writing of 8 GB.
	askTimeout    = 5 * time.Second
	defragTimeout = 5 * time.Minute
	// diskLeft is how many bytes of the disk, and what share of it in percent,
	// have to be free: below both somebody is told.
	diskLeft, diskShare = 1 << 30, 5
)

// Options are what Space is made from.
type Options struct {
	// Connect makes a client of the datastore, or of the member at these URLs.
	Connect func(urls ...string) (*clientv3.Client, error)
	// Own is where this server's own database answers.
	Own string
	// Members says that the datastore is etcd, whose members can be counted.
	Members bool
	// Disk is a directory on the disk that the database is on, empty when it is
	// on another machine.
	Disk string
	// Room says how much of a directory's disk is free, and how large it is; nil
	// asks the file system.
	Room func(dir string) (free, size int64, err error)
}

// Space watches and tends a datastore.
type Space struct {
	opts Options
	now  func() time.Time

	mu        sync.Mutex
	usage     Usage
	defragged map[uint64]time.Time
}

// New returns a Space that has looked at nothing yet.
func New(opts Options) *Space {
	if opts.Room == nil {
		opts.Room = roomOf
	}
	return &Space{opts: opts, now: time.Now, defragged: map[uint64]time.Time{}}
}

// Usage is what was seen last.
func (s *Space) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage
}

// Ready is an error that says what is nearly full.
func (s *Space) Ready(context.Context) error { return s.Usage().problem() }

// Watch looks at this server's database and disk until ctx ends.
func (s *Space) Watch(ctx context.Context) error {
	return s.often(ctx, "the size of the datastore is not known", func(ctx context.Context, client *clientv3.Client) error {
		usage, err := s.look(ctx, client)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.usage = usage
		return nil
	})
}

// Tend gives free space back and lifts the alarm, until ctx ends. Run it on one
// server of the cluster.
func (s *Space) Tend(ctx context.Context) error {
	return s.often(ctx, "the datastore was not tended", s.tend)
}

func (s *Space) often(ctx context.Context, failed string, do func(context.Context, *clientv3.Client) error) error {
	client, err := s.opts.Connect()
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		pause := every
		if err := do(ctx, client); err != nil && ctx.Err() == nil {
			pause = soon
			log.G(ctx).WithError(err).WithField("next", pause).Debug(failed)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (s *Space) look(ctx context.Context, client *clientv3.Client) (Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, err := client.Status(ctx, s.opts.Own)
	if err != nil {
		return Usage{}, fmt.Errorf("ask the datastore for its size: %w", err)
	}
	u := Usage{Size: status.DbSize, InUse: status.DbSizeInUse, Quota: status.DbSizeQuota, HasLeader: s.opts.Members && status.Leader != 0}
	for _, problem := range status.Errors {
		u.Alarm = u.Alarm || strings.Contains(problem, etcdserverpb.AlarmType_NOSPACE.String()) // with the member's number before it
	}
	if s.opts.Members {
		if err := u.count(ctx, client); err != nil {
			return Usage{}, err
		}
	}
	if s.opts.Disk != "" {
		if u.DiskFree, u.DiskSize, err = s.opts.Room(s.opts.Disk); err != nil {
			return Usage{}, err
		}
	}
	if u.mustRest() && !u.Alarm {
		if err := raise(ctx, client, status.Header.MemberId); err != nil {
			return u, err
		}
		u.Alarm = true
	}
	return u, nil
}

func roomOf(dir string) (free, size int64, err error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, 0, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	return int64(disk.Bavail) * disk.Bsize, int64(disk.Blocks) * disk.Bsize, nil
}

// raise has etcd take no writes, before the disk has no room for its own either: at
// the first one that fails it ends the process.
func raise(ctx context.Context, client *clientv3.Client, member uint64) error {
	alarm := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: member, Alarm: etcdserverpb.AlarmType_NOSPACE}
	if _, err := etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Alarm(ctx, alarm); err != nil {
		return fmt.Errorf("have etcd take no writes, for the disk is full: %w", err)
	}
	log.G(ctx).Warn("the disk below the datastore is nearly full: it takes no writes until there is room")
	return nil
}

func (s *Space) tend(ctx context.Context, client *clientv3.Client) error {
	alarms, err := s.alarms(ctx, client)
	if err != nil {
		return err
	}
	if len(alarms) > 0 && s.opts.Disk != "" {
		free, size, err := s.opts.Room(s.opts.Disk)
		if err != nil {
			return err
		}
		if free < 2*reserve(size) {
			return errors.New("there is not enough room on the disk yet to lift the alarm")
		}
	}
	if len(alarms) > 0 {
		log.G(ctx).Warn("the datastore is full and takes no writes; what is not needed is dropped from it")
		if err := compact(ctx, client); err != nil {
			return err
		}
	}
	for {
		members, err := s.members(ctx, client)
		if err != nil {
			return err
		}
		m, found := next(members, len(alarms) > 0, s.now())
		if !found {
			switch {
			case len(alarms) == 0:
				return nil
			case roomy(members):
				return lift(ctx, client, alarms)
			}
			return errors.New("there is not enough room yet to lift the alarm")
		}
		if err := s.defragment(ctx, m); err != nil {
			return err
		}
		if len(alarms) == 0 {
			return nil // the next one at the next look
		}
	}
}

// alarms are those of a full database. kine knows of none.
func (s *Space) alarms(ctx context.Context, client *clientv3.Client) ([]*etcdserverpb.AlarmMember, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	res, err := client.AlarmList(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask etcd for alarms: %w", err)
	}
	var full []*etcdserverpb.AlarmMember
	for _, a := range res.Alarms {
		if a.Alarm == etcdserverpb.AlarmType_NOSPACE {
			full = append(full, a)
		}
	}
	return full, nil
}

// compact drops all but the newest revision. Who watches from an older one lists
// anew.
func compact(ctx context.Context, client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, defragTimeout)
	defer cancel()
	res, err := client.Get(ctx, "/", clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("read etcd's revision: %w", err)
	}
	// One that was compacted before is no error to speak of.
	_, _ = client.Compact(ctx, res.Header.Revision, clientv3.WithCompactPhysical())
	return nil
}

func (s *Space) members(ctx context.Context, client *clientv3.Client) ([]Member, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list etcd's members: %w", err)
	}
	var members []Member
	for _, m := range list.Members {
		if len(m.ClientURLs) == 0 {
			continue
		}
		url := m.ClientURLs[len(m.ClientURLs)-1]
		status, err := client.Status(ctx, url)
		if err != nil {
			continue // it is away
		}
		s.mu.Lock()
		last := s.defragged[m.ID]
		s.mu.Unlock()
		members = append(members, Member{
			ID: m.ID, Name: m.Name, URL: url, Leader: status.Leader == m.ID,
			Size: status.DbSize, InUse: status.DbSizeInUse, Quota: status.DbSizeQuota, Defragments: last,
		})
	}
	return members, nil
}

func (s *Space) defragment(ctx context.Context, m Member) error {
	client, err := s.opts.Connect(m.URL)
	if err != nil {
		return err
	}
	defer client.Close()
	s.mu.Lock()
	s.defragged[m.ID] = s.now()
	s.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, defragTimeout)
	defer cancel()
	began := s.now()
	if _, err := client.Defragment(limited, m.URL); err != nil {
		return fmt.Errorf("defragment the database of %s: %w", m.Name, err)
	}
	log.G(ctx).WithField("member", m.Name).WithField("size", size(m.Size)).WithField("free", size(m.free())).
		WithField("took", s.now().Sub(began).Round(time.Millisecond).String()).Info("gave free space of etcd's database back")
	return nil
}

func lift(ctx context.Context, client *clientv3.Client, alarms []*etcdserverpb.AlarmMember) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var problems []error
	for _, a := range alarms {
		_, err := client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a))
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("lift etcd's alarm: %w", err)
	}
	log.G(ctx).Info("the datastore has room again and takes writes")
	return nil
}
