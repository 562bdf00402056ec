package cis

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the tables of docs/security.md; the run fails")

const page = "../../docs/security.md"

func TestPageHasTheTables(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Put(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if want == string(text) {
		return
	}
	if !*update {
		t.Errorf("docs/security.md is not what the controls say (-page +controls), go test ./tests/cis -update writes it:\n%s", cmp.Diff(string(text), want))
		return
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Error("docs/security.md is written anew: read it, then run without -update")
}

// perSection is how many controls each section of the benchmark has.
var perSection = map[string]int{
	"1.1": 21, "1.2": 30, "1.3": 7, "1.4": 2, "2": 7, "3.1": 3, "3.2": 2, "4.1": 10, "4.2": 14, "4.3": 1,
	"5.1": 13, "5.2": 12, "5.3": 2, "5.4": 2, "5.5": 1, "5.6": 4,
}

func TestControlsAreComplete(t *testing.T) {
	t.Parallel()
	id := regexp.MustCompile(`^(?:(2)|(\d\.\d))\.\d+$`)
	counts, seen := map[string]int{}, map[string]bool{}
	for _, s := range Controls() {
		for _, c := range s.Controls {
			m := id.FindStringSubmatch(c.ID)
			if m == nil || seen[c.ID] {
				t.Fatalf("control %q: no identifier, or one that is there twice", c.ID)
			}
			seen[c.ID] = true
			counts[m[1]+m[2]]++
			checked := c.Verdict == Passes || c.Verdict == Setting
			if checked && c.Check == nil {
				t.Errorf("%s is said to be met, and nothing checks it", c.ID)
			}
			if (c.Verdict == Absent || c.Verdict == Setting) && c.How == "" {
				t.Errorf("%s: %s, and nothing says why or which", c.ID, c.Verdict)
			}
			if c.Verdict == Absent && c.Check != nil {
				t.Errorf("%s does not apply and has a check", c.ID)
			}
		}
	}
	if diff := cmp.Diff(perSection, counts); diff != "" {
		t.Errorf("controls by section:\n%s", diff)
	}
}

// A host of which nothing was seen meets no control: no check passes for want of
// something to look at.
func TestNothingSeenIsNothingMet(t *testing.T) {
	t.Parallel()
	for _, s := range Controls() {
		for _, c := range s.Controls {
			if c.Check != nil && c.Check(Evidence{Server: true}) == nil {
				t.Errorf("%s (%s) is met by a host of which nothing was seen", c.ID, c.Asks)
			}
		}
	}
}

func TestPutNeedsItsPlace(t *testing.T) {
	t.Parallel()
	if _, err := Put("# A page\n"); err == nil || !strings.Contains(err.Error(), "has no lines") {
		t.Errorf("got %v", err)
	}
}
