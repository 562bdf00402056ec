package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kelp-project/kelp/pkg/balancer"
	"github.com/kelp-project/kelp/pkg/internal/tally"
	"github.com/kelp-project/kelp/pkg/live"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/supervisor"
	"github.com/kelp-project/kelp/pkg/version"
)

// Snapshots are what there is to tell of a server's snapshots.
type Snapshots struct {
	Good, Made, Failed int
	Took               time.Duration
	Newest             time.Time // zero without one
	Size               int64     // of the newest
	Failing            bool
}

// Usage is how much of the datastore and of the disk below it is in use, with the
// fields of space.Usage, so that one converts to the other.
type Usage struct {
	Size, InUse, Quota int64
	DiskFree, DiskSize int64
	Alarm              bool
	HasLeader          bool
	Voters, Learners   int
}

// Sources are where the numbers come from. What is nil is not there in this role
// or mode. They are asked at each scrape, side by side, and have to answer from
// memory.
type Sources struct {
	Snapshot      func() supervisor.Snapshot
	Starts        uint64
	Configuration func() live.State
	Certificates  func() []pki.Status
	Requests      func() map[tally.Key]uint64
	Tokens        func() map[tally.Key]uint64
	Snapshots     func() Snapshots
	Datastore     string // its kind, empty on an agent
	Usage         func() Usage
	Leads         func() bool
	Balancers     map[string]func() []balancer.State
	Tunnels       func() int
}

// collector makes metrics of sources.
type collector struct{ Sources }

var _ prometheus.Collector = collector{}

// Describe is prometheus's.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range Table {
		descs <- m.desc
	}
}

// sink takes values.
type sink chan<- prometheus.Metric

func (s sink) put(m *Metric, value float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...) // panics with the wrong number of labels, which a test would see
}

// Collect is prometheus's.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	s := sink(metrics)
	s.put(buildInfo, 1, version.Version, version.KubernetesVersion)
	s.put(starts, float64(c.Starts))
	c.components(s)
	c.configuration(s)
	if c.Certificates != nil {
		for _, st := range c.Certificates() {
			if !st.NotAfter.IsZero() {
				s.put(certificateLeft, time.Until(st.NotAfter).Seconds(), st.Name, st.Authority)
			}
		}
	}
	tallied(s, joinRequests, c.Requests)
	tallied(s, tokenUses, c.Tokens)
	c.snapshots(s)
	c.datastore(s)
	c.connections(s)
}

func (c collector) components(s sink) {
	if c.Snapshot == nil {
		return
	}
	snap := c.Snapshot()
	s.put(started, seconds(snap.Started))
	if snap.ReadyAfter > 0 {
		s.put(readyAfter, snap.ReadyAfter)
	}
	for _, st := range snap.Components {
		s.put(componentReady, flag(st.OK()), st.Name)
		s.put(componentState, 1, st.Name, string(st.State))
		s.put(componentLapses, float64(st.Lapses), st.Name)
		if st.ReadyAfter > 0 {
			s.put(componentAfter, st.ReadyAfter, st.Name)
		}
	}
}

func (c collector) configuration(s sink) {
	if c.Configuration == nil {
		return
	}
	state := c.Configuration()
	s.put(configurationValid, flag(state.Problem == ""))
	s.put(configurationRestart, float64(len(state.NeedsRestart)))
	s.put(configurationFailures, float64(len(state.Failed)))
}

func tallied(s sink, m *Metric, counts func() map[tally.Key]uint64) {
	if counts == nil {
		return
	}
	for key, n := range counts() {
		s.put(m, float64(n), key.What, key.Result)
	}
}

func (c collector) snapshots(s sink) {
	if c.Snapshots == nil {
		return
	}
	x := c.Snapshots()
	at, age := 0.0, -1.0
	if !x.Newest.IsZero() {
		at, age = seconds(x.Newest), time.Since(x.Newest).Seconds()
	}
	s.put(snapshots, float64(x.Good))
	s.put(snapshotTime, at)
	s.put(snapshotAge, age)
	s.put(snapshotSize, float64(x.Size))
	s.put(snapshotFailed, flag(x.Failing))
	s.put(snapshotsMade, float64(x.Made))
	s.put(snapshotFailures, float64(x.Failed))
	s.put(snapshotTook, x.Took.Seconds())
}

func (c collector) datastore(s sink) {
	if c.Datastore != "" {
		s.put(datastoreInfo, 1, c.Datastore)
	}
	if c.Usage == nil {
		return
	}
	u := c.Usage()
	if u.Size == 0 {
		return // it has not been looked at yet
	}
	s.put(datastoreSize, float64(u.Size))
	s.put(datastoreAlarm, flag(u.Alarm))
	s.put(diskFree, float64(u.DiskFree))
	s.put(diskSize, float64(u.DiskSize))
	if u.InUse > 0 {
		s.put(datastoreInUse, float64(u.InUse))
		s.put(datastoreFragment, 1-min(1, float64(u.InUse)/float64(u.Size)))
	}
	if u.Quota > 0 {
		s.put(datastoreQuota, float64(u.Quota))
	}
	if u.Voters > 0 {
		s.put(etcdHasLeader, flag(u.HasLeader))
		s.put(etcdMembers, float64(u.Voters), "voter")
		s.put(etcdMembers, float64(u.Learners), "learner")
	}
}

func (c collector) connections(s sink) {
	if c.Leads != nil {
		s.put(leads, flag(c.Leads()))
	}
	if c.Tunnels != nil {
		s.put(tunnelConnections, float64(c.Tunnels()))
	}
	for name, states := range c.Balancers {
		for _, st := range states() {
			s.put(balancerWell, flag(st.Well), name, st.Server)
			s.put(balancerConns, float64(st.Connections), name, st.Server)
		}
	}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
