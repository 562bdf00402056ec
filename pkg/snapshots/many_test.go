package snapshots

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// many is more than anybody has: a directory of two servers', on a file server, in
// which nothing was deleted for years.
const many = 10_000

// Of ten thousand snapshots, the scheduled ones of this server alone go, and as many
// stay as are to; the other server's, and those that were asked for, are all there.
// What is listed meanwhile is shown, each snapshot as an object of its own.
func TestTenThousandSnapshots(t *testing.T) {
	t.Parallel()
	d := Dir(t.TempDir())
	want := map[string]bool{}
	for i := range many {
		e := made(fmt.Sprintf("kelp-one-%05d", i), Scheduled, "one", time.Duration(many-i)*time.Hour)
		switch {
		case i%10 == 3:
			e = made(fmt.Sprintf("kelp-one-two-%05d", i), Scheduled, "one-two", time.Duration(many-i)*time.Hour)
		case i%10 == 7:
			e = made(fmt.Sprintf("kelp-one-%05d", i), OnDemand, "one", time.Duration(many-i)*time.Hour)
		}
		drop(t, d, e)
		want[e.Name] = e.Reason != Scheduled || e.Node != "one" || i >= many-25 // 25 in all, 20 of them this server's
	}
	began := time.Now()
	gone, err := d.Prune(Retention{Keep: 20, MaxAge: 1000 * time.Hour}, "one", noon)
	if err != nil {
		t.Fatal(err)
	}
	list, err := d.List()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d went and %d stayed in %s", len(gone), len(list), time.Since(began).Round(time.Millisecond))
	for _, e := range list {
		if !want[e.Name] || e.Problem != "" {
			t.Errorf("%s stays: %s", e.Name, e.Problem)
		}
		delete(want, e.Name)
	}
	for name, stays := range want {
		if stays {
			t.Errorf("%s is gone", name)
		}
	}
	files, err := os.ReadDir(string(d))
	if err != nil || len(files) != 2*len(list) {
		t.Errorf("%d files for %d snapshots, %v", len(files), len(list), err)
	}

	c := fakeCluster("one", "gone")
	if err := c.show(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	there, err := c.objects(t.Context())
	if err != nil || len(there) != len(list) {
		t.Errorf("%d objects for %d snapshots, %v", len(there), len(list), err)
	}
	if !slices.ContainsFunc(list, func(e Entry) bool {
		return strings.HasPrefix(e.Name, "kelp-one-two-") && there[objectName(e.Name)] != nil
	}) {
		t.Error("the other server's are not shown")
	}
}
