package records

import (
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

func keysOf(n, size int) []*mvccpb.KeyValue {
	list := make([]*mvccpb.KeyValue, n)
	for i := range list {
		list[i] = &mvccpb.KeyValue{Value: make([]byte, size)}
	}
	return list
}

func TestPagesStaySmall(t *testing.T) {
	for name, c := range map[string]struct{ keys, size, want int }{
		"large objects, one at a time":          {10, 400_000, 1},
		"a quarter of a megabyte":               {10, 32 << 10, 7},
		"small ones may be followed by large":   {32, 100, lastPage},
		"keys without values":                   {5, 0, lastPage},
		"an object larger than a page is asked": {1, 3 << 20, 1},
	} {
		if got := pageAfter(keysOf(c.keys, c.size)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestGentleReadingRests(t *testing.T) {
	for name, c := range map[string]struct {
		size       int
		took, want time.Duration
	}{
		"slow: as a multiple of it":        {1 << 10, 10 * time.Millisecond, 30 * time.Millisecond},
		"fast: no more than its rate":      {1 << 20, time.Millisecond, time.Second/16 - time.Millisecond},
		"very slow: not for ever":          {1 << 10, time.Minute, maxPause},
		"nothing read in no time: no rest": {0, 0, 0},
	} {
		if got := rest(keysOf(1, c.size), c.took); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
