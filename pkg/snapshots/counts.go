package snapshots

import "time"

// Counts are what is counted of this server's snapshots since kelp has started.
type Counts struct {
	Good   int // that are there
	Made   int // as scheduled
	Failed int // of those that were scheduled
	// Took is how long the last one took, 0 before it.
	Took time.Duration
	// Newest is the newest good one that is there, without a name if there is none.
	Newest Entry
	// Failing says that the last scheduled one has failed.
	Failing bool
}

// Counts returns what is counted. It is safe for concurrent use.
func (k *Keeper) Counts() Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.counts
	c.Newest, c.Failing = k.newest, k.failed != nil
	return c
}

func (k *Keeper) count(took time.Duration, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed = err
	if err != nil {
		k.counts.Failed++
		return
	}
	k.counts.Made++
	k.counts.Took = took
}
