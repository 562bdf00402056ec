package tally

import (
	"maps"
	"sync"
	"testing"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	x := New([]string{"a", "b"}, []string{"ok"})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { x.Add("a", "ok") })
	}
	all.Wait()
	x.Add("c", "no")
	got := x.Counts()
	if want := (map[Key]uint64{{"a", "ok"}: 100, {"b", "ok"}: 0, {"c", "no"}: 1}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if clear(got); len(x.Counts()) != 3 {
		t.Error("what was returned is not a copy")
	}
}
