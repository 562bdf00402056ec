package doctor

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// field is a text in an object, empty where there is none.
func field(o unstructured.Unstructured, path ...string) string {
	text, _, _ := unstructured.NestedString(o.Object, path...)
	return text
}

// manifests are files whose objects could not be made.
func manifests(e Evidence) []Answer {
	var list []Answer
	applied := 0
	for _, o := range e.Cluster.Addons {
		if field(o, "status", "state") != "Failed" {
			applied++
			continue
		}
		list = append(list, problem(aboutManifests, field(o, "spec", "file")+" was not applied", field(o, "status", "message"), "kelp kubectl -n "+o.GetNamespace()+" describe addon "+o.GetName()))
	}
	if len(list) == 0 && applied > 0 {
		list = append(list, good(aboutManifests, "%d are applied, or left out on purpose", applied))
	}
	return list
}

// old is how old the newest snapshot may be where they are made more often than
// once a day: four times the default interval.
const old = 24 * time.Hour

// overdue says that the newest snapshot, or the start, is old, and that two more
// snapshots should have been made since.
func overdue(schedule string, newest, now time.Time) bool {
	s, err := cron.ParseStandard(schedule)
	return now.Sub(newest) > old && (err != nil || !s.Next(s.Next(newest.In(now.Location()))).After(now))
}

// snapshotAnswers are about what there is to go back to.
func snapshotAnswers(e Evidence) []Answer {
	if !e.Server || e.Cluster.Errs["snapshots"] != "" {
		return nil
	}
	newest, node := newestSnapshot(e.Cluster.Snapshots)
	var list []Answer
	for _, o := range e.Cluster.Snapshots {
		if field(o, "status", "state") == "Failed" {
			// What cannot be read says neither where it was made nor its name.
			list = append(list, warning(aboutSnapshots, "the snapshot "+o.GetName()+" is of no use", field(o, "status", "message"),
				"on "+o.GetLabels()["kelp.io/node"]+": kelp snapshot delete "+filepath.Base(field(o, "spec", "location"))))
		}
	}
	switch age := e.Now.Sub(newest); {
	case notMadeBecause(e) != "":
		return append(list, problem(aboutSnapshots, "the last one that was due was not made", notMadeBecause(e), "df -h "+e.Config.SnapshotDir(), "kelp snapshot save"))
	case newest.IsZero() && e.Status != nil && !overdue(e.Config.Snapshots.Schedule, e.Status.Started, e.Now):
		return append(list, good(aboutSnapshots, "none was due yet"))
	case newest.IsZero():
		return append(list, warning(aboutSnapshots, "there is none that is good", "", "kelp snapshot save", "kelp status, and its component snapshot-schedule"))
	case overdue(e.Config.Snapshots.Schedule, newest, e.Now) && !e.Config.Snapshots.Disable:
		return append(list, warning(aboutSnapshots, fmt.Sprintf("the newest good one is %s old", short(age)), "", "kelp snapshot save", "kelp status, and its component snapshot-schedule"))
	case len(list) == 0:
		return []Answer{good(aboutSnapshots, "the newest one was made %s ago, on %s, and read back", short(age), node)}
	}
	return list
}

// notMadeBecause is what the last scheduled snapshot of this server failed for,
// empty where it did not.
func notMadeBecause(e Evidence) string {
	if e.Status == nil {
		return ""
	}
	for _, c := range e.Status.Components {
		if c.Name == "snapshot-schedule" && !c.OK() {
			return c.LastError
		}
	}
	return ""
}

// newestSnapshot is when the newest good one was made, and on which server.
func newestSnapshot(list []unstructured.Unstructured) (newest time.Time, node string) {
	for _, o := range list {
		at, err := time.Parse(time.RFC3339, field(o, "spec", "created"))
		if err == nil && field(o, "status", "state") == "Good" && at.After(newest) {
			newest, node = at, field(o, "spec", "node")
		}
	}
	return newest, node
}

// unseen is what the API was asked for in vain.
func unseen(e Evidence) []Answer {
	var list []Answer
	for _, what := range slices.Sorted(maps.Keys(e.Cluster.Errs)) {
		list = append(list, unknown("cluster", fmt.Sprintf("%s could not be listed: %s", what, e.Cluster.Errs[what])))
	}
	return list
}
