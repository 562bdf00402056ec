package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/live"
)

func TestDifferencesForPeople(t *testing.T) {
	t.Parallel()
	changes := []config.Change{
		{Setting: "log.level", Old: "info", New: "debug", Takes: config.Live, Scope: "node", Origin: "new.yaml:1"},
		{Setting: "token", Old: "", New: "(redacted)", Takes: config.Restart, Scope: "cluster", Origin: "new.yaml:2"},
	}
	var table, none, asJSON bytes.Buffer
	if err := printChanges(&table, "table", changes); err != nil {
		t.Fatal(err)
	}
	want := `SETTING    OLD      NEW         CHANGE   SCOPE    ORIGIN
log.level  info  →  debug       live     node     new.yaml:1
token      -     →  (redacted)  restart  cluster  new.yaml:2
`
	if table.String() != want {
		t.Errorf("got\n%s\nwant\n%s", table.String(), want)
	}
	if err := printChanges(&none, "table", nil); err != nil || none.Len() != 0 {
		t.Errorf("no differences are %q, %v", none.String(), err)
	}
	if err := printChanges(&asJSON, "json", nil); err != nil || asJSON.String() != "[]\n" {
		t.Errorf("no differences are %q, %v", asJSON.String(), err)
	}
}

func TestWhatWasTakenForPeople(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var out bytes.Buffer
	if err := tellTaken(&out, live.State{
		File: "c.yaml", Applied: []config.Change{{Setting: "log.level", Old: "info", New: "debug"}},
		NeedsRestart: []config.Change{{Setting: "debug", Old: "false", New: "true"}}, Failed: map[string]string{"labels": "no API"}, Trial: &until,
	}); err != nil {
		t.Fatal(err)
	}
	want := `c.yaml is taken.
applied: log.level: info → debug
needs restart: debug: false → true
not applied to labels, and tried again: no API
It is on trial until 03:04:05: kelp config confirm keeps it.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := tellTaken(&out, live.State{File: "c.yaml"}); err != nil || !strings.Contains(out.String(), "already") {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// What kelp config edit puts above a file does not get into it.
func TestWhatIsPutAboveAnEditedFile(t *testing.T) {
	t.Parallel()
	text := "# the user's own\n#! not at the top\nnode: {}\n"
	if got := uncommented(append(commented("one\ntwo"), text...)); string(got) != text {
		t.Errorf("got %q", got)
	}
	if got := commented(""); got != nil {
		t.Errorf("nothing is wrong, and yet %q", got)
	}
	if got := string(commented("c.yaml:3: typo\nmore")); strings.Count(got, above) != 3 || !strings.Contains(got, above+"more\n") {
		t.Errorf("got %q", got)
	}
}
