package snapshots

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/snapshot"
)

var noon = time.Date(2025, 11, 24, 12, 0, 0, 0, time.UTC)

// drop puts a snapshot and its description into a directory.
func drop(t *testing.T, d Dir, e Entry) Entry {
	t.Helper()
	e.Location = d.Path(e.Name)
	if err := os.WriteFile(e.Location, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e.Size == 0 {
		e.Size = int64(len("content"))
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.Location+besides, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

func made(name, reason, node string, age time.Duration) Entry {
	return Entry{Name: name + compressed, Metadata: snapshot.Metadata{Reason: reason, Node: node, Created: noon.Add(-age)}}
}

func names(list []Entry) string {
	var all []string
	for _, e := range list {
		all = append(all, objectName(e.Name))
	}
	return strings.Join(all, " ")
}

func TestRetention(t *testing.T) {
	t.Parallel()
	var list []Entry
	for i := range 5 { // the oldest first
		list = append(list, made(fmt.Sprint(i), Scheduled, "one", time.Duration(5-i)*24*time.Hour))
	}
	pinned, bad := list[0], list[1]
	pinned.Pinned, bad.Problem = true, "is bad"
	for name, c := range map[string]struct {
		r    Retention
		list []Entry
		want string
	}{
		"none there":                     {Retention{Keep: 2}, nil, ""},
		"too many":                       {Retention{Keep: 2}, list, "0 1 2"},
		"as many as there are":           {Retention{Keep: 5}, list, ""},
		"all are kept":                   {Retention{}, list, ""},
		"too old":                        {Retention{MaxAge: 72 * time.Hour}, list, "0 1"},
		"the newest stay, however old":   {Retention{MaxAge: time.Hour}, list, "0 1"},
		"pinned":                         {Retention{Keep: 1}, []Entry{pinned, list[2], list[3]}, "2"},
		"bad ones neither go nor count":  {Retention{Keep: 1}, []Entry{bad, list[2], list[3]}, "2"},
		"those that were asked for stay": {Retention{Keep: 1}, []Entry{made("a", OnDemand, "one", time.Hour), list[3], list[4]}, "3"},
		"another server's":               {Retention{Keep: 1}, []Entry{made("b", Scheduled, "two", time.Hour), list[4]}, ""},
	} {
		if got := names(c.r.Surplus(c.list, "one", noon)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What is in the directory is listed from the oldest to the newest, with what is
// wrong with it; retention takes files and descriptions.
func TestDir(t *testing.T) {
	t.Parallel()
	d := Dir(t.TempDir())
	if list, err := Dir(t.TempDir() + "/none").List(); err != nil || len(list) != 0 {
		t.Errorf("a directory that is not there: %v, %v", list, err)
	}
	drop(t, d, made("b", Scheduled, "one", time.Hour))
	drop(t, d, made("a", Scheduled, "one", 2*time.Hour))
	shorter := made("c", OnDemand, "one", time.Minute)
	shorter.Size = 100
	drop(t, d, shorter)
	for _, name := range []string{"d" + extension, "e" + compressed + partial, "notes.txt"} {
		if err := os.WriteFile(d.Path(name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := d.List()
	if err != nil || names(list) != "a b c d" {
		t.Fatalf("%q, %v", names(list), err)
	}
	if list[0].Problem != "" || list[1].Problem != "" || !strings.Contains(list[2].Problem, "has 7 bytes and had 100") || !strings.Contains(list[3].Problem, "description is missing") {
		t.Errorf("problems: %+v", list)
	}
	gone, err := d.Prune(Retention{Keep: 1}, "one", noon)
	if err != nil || names(gone) != "a" {
		t.Errorf("pruned %q, %v", names(gone), err)
	}
	if _, err := os.Stat(d.Path("a"+compressed) + besides); !os.IsNotExist(err) {
		t.Errorf("the description stays: %v", err)
	}
	for _, name := range []string{"notes.txt", "../b" + compressed, "/etc/passwd", "none" + compressed} {
		if err := d.Delete(name); err == nil {
			t.Errorf("%s is deleted", name)
		}
	}
	if err := d.clean(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Path("e" + compressed + partial)); err != nil {
		t.Errorf("a file that is being written is removed: %v", err)
	}
	if err := d.clean(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Path("e" + compressed + partial)); !os.IsNotExist(err) {
		t.Errorf("what a killed process has left stays: %v", err)
	}
}

// The first snapshot after a start is due at the next time of the schedule, or soon
// when one was missed.
func TestFirst(t *testing.T) {
	t.Parallel()
	schedule, err := cron.ParseStandard("0 */6 * * *")
	if err != nil {
		t.Fatal(err)
	}
	now := noon.Add(time.Hour) // the last time was at noon
	for name, c := range map[string]struct {
		there []Entry
		from  time.Time
	}{
		"none was made":                     {nil, noon.Add(6 * time.Hour)},
		"the last one was made":             {[]Entry{made("a", Scheduled, "one", -time.Minute)}, noon.Add(6 * time.Hour)},
		"the last one was missed":           {[]Entry{made("a", Scheduled, "one", 6*time.Hour)}, now},
		"one that was asked for is no help": {[]Entry{made("a", Scheduled, "one", 6*time.Hour), made("b", OnDemand, "one", 0)}, now},
		"one from the future is none":       {[]Entry{made("a", Scheduled, "one", -48*time.Hour)}, noon.Add(6 * time.Hour)},
	} {
		cfg := config.Default()
		cfg.Snapshots.Dir = t.TempDir()
		k := NewKeeper(cfg, "")
		k.now = func() time.Time { return now }
		for _, e := range c.there {
			drop(t, k.dir, e)
		}
		due := k.first(schedule)
		if due.Before(c.from) || due.After(c.from.Add(time.Duration(cfg.Snapshots.Jitter))) {
			t.Errorf("%s: due at %s, want from %s on", name, due, c.from)
		}
	}
}

// Objects in the API are those of the directory, and other servers' are left alone.
func TestObjects(t *testing.T) {
	t.Parallel()
	c, list := fakeCluster("one", "gone"), []Entry{made("a", Scheduled, "one", time.Hour), made("b", OnDemand, "one", 0)}
	list[1].Problem = "it has 7 bytes and had 100"
	for range 2 { // the second time nothing differs
		if err := c.show(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	there, err := c.objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for name, o := range there {
		state, _, _ := nested(o, "status", "state")
		found = append(found, name+"="+state)
	}
	slices.Sort(found)
	if got := strings.Join(found, " "); got != "a=Good b=Failed" {
		t.Errorf("objects %q", got)
	}
	c.node = "two"
	if theirs, err := c.objects(t.Context()); err != nil || len(theirs) != 1 {
		t.Errorf("the other server has %v, %v", theirs, err)
	}
}
