package voters

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDecide plays scripts: after a line with "members" come the members, a
// line each, then a line of dashes and what is decided.
func TestDecide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/decide.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		title, rest, _ := strings.Cut(script, "\n")
		given, want, found := strings.Cut(rest, "----")
		if !found || !strings.HasPrefix(title, "# ") {
			t.Fatalf("no script: %s", script)
		}
		var members []Member
		for i, line := range strings.Split(strings.TrimSpace(given), "\n") {
			members = append(members, parseMember(t, uint64(i+1), line))
		}
		var got []string
		for _, a := range Decide(members, 5*time.Minute) {
			got = append(got, a.String())
		}
		if got, want := strings.Join(got, "\n"), strings.TrimSpace(want); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", title, got, want)
		}
	}
}

func parseMember(t *testing.T, id uint64, line string) Member {
	t.Helper()
	m := Member{ID: id, Reachable: true}
	for i, word := range strings.Fields(line) {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch {
		case i == 0 && word != "-":
			m.Name = word
		case word == "-" || word == "voter":
		case word == "learner":
			m.Learner = true
		case word == "leader":
			m.Leader = true
		case word == "unbound":
			m.Unbound = true
		case key == "away":
			m.Reachable = false
			m.Away, err = time.ParseDuration(value)
		case key == "behind":
			m.Behind, err = strconv.ParseUint(value, 10, 64)
		default:
			err = fmt.Errorf("what is %q?", word)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestProblems(t *testing.T) {
	t.Parallel()
	well, away := Member{ID: 1, Name: "one", Reachable: true}, Member{ID: 2, Name: "two", Problem: "does not answer"}
	deleted := Member{ID: 3, Name: "three", Reachable: true, Unbound: true}
	late := Member{ID: 4, Name: "four", Reachable: true, Learner: true, Behind: caughtUp + 1}
	for _, c := range []struct {
		members []Member
		of      Member
		want    string
	}{
		{[]Member{well, away, deleted}, well, ""},
		{[]Member{well, away, deleted}, away, "does not answer"},
		{[]Member{well, away, deleted}, deleted, "its node was deleted, and it stays: without it etcd would have no majority"},
		{[]Member{well, deleted}, deleted, ""}, // it goes
		{[]Member{well, late}, late, "is 1001 entries behind and cannot be promoted yet"},
	} {
		if got := problemOf(c.members, c.of); got != c.want {
			t.Errorf("%s among %v: %q, want %q", c.of.Name, c.members, got, c.want)
		}
	}
}
