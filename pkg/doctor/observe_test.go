package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseUnit(t *testing.T) {
	t.Parallel()
	if got := parseUnit("LoadState=not-found\nActiveState=inactive\n"); got.Name != "" {
		t.Errorf("a unit that is not there: %+v", got)
	}
	got := parseUnit("Result=exit-code\nNRestarts=3\nLoadState=loaded\nUnitFileState=enabled\nActiveState=failed\n")
	if want := (Unit{Name: "loaded", Active: "failed", Enabled: true, Result: "exit-code", Restarts: "3"}); !cmp.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestErrorLines(t *testing.T) {
	t.Parallel()
	for log, want := range map[string][]string{
		"":                                 nil,
		"12:00 INFO kelp starts\n12:01 ok": nil,
		"error: first\n12:00 INFO kelp starts\nerror: port 6443 is taken\n       and another\nhint: stop it\n": {"port 6443 is taken; and another"},
		"panic: boom\n\ngoroutine 1 [running]:\n       main\n":                                                 {"panic: boom"},
		"error: a\nhint: b\n       c\n":                                                                        {"a"},
	} {
		if diff := cmp.Diff(want, errorLines(log)); diff != "" {
			t.Errorf("%q: %s", log, diff)
		}
	}
	if got := errorLines(strings.Repeat("error: x\n", 50)); len(got) != mostErrors {
		t.Errorf("%d lines are kept", len(got))
	}
}

func TestFailedChecks(t *testing.T) {
	t.Parallel()
	got := failedChecks("[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]shutdown failed: x\nreadyz check failed\n")
	if strings.Join(got, " ") != "etcd shutdown" {
		t.Errorf("got %q", got)
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	m := parseMetrics(strings.NewReader(`# HELP x y
# TYPE x histogram
x_bucket{le="0.001"} 50
x_bucket{le="0.002"} 98
x_bucket{le="0.004"} 100
x_bucket{le="+Inf"} 100
x_sum 0.12
x_count 100
rtt_bucket{To="a",le="0.1"} 5
rtt_bucket{To="b",le="0.1"} 1
rtt_bucket{To="a",le="+Inf"} 5
rtt_bucket{To="b",le="+Inf"} 5
empty_bucket{le="1"} 0
empty_bucket{le="+Inf"} 0
changes 7
`))
	for name, c := range map[string]struct {
		share float64
		want  time.Duration
	}{
		"x": {0.99, 4 * time.Millisecond}, "rtt": {0.99, 100 * time.Millisecond}, "empty": {0.5, 0}, "missing": {0.5, 0},
	} {
		if got := m.quantile(name, c.share); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	if got := m.quantile("x", 0.5); got != time.Millisecond {
		t.Errorf("the median is %s", got)
	}
	if m["changes"] != 7 {
		t.Errorf("got %v", m["changes"])
	}
}

// A package brings the units of both roles, and install.sh one of them.
func TestChooseUnit(t *testing.T) {
	t.Parallel()
	server, agent := Unit{Name: "kelp", Active: "inactive"}, Unit{Name: "kelp-agent", Active: "inactive"}
	enabled := func(u Unit) Unit { u.Enabled = true; return u }
	state := func(u Unit, active string) Unit { u.Active = active; return u }
	for name, c := range map[string]struct {
		found      []Unit
		role, want string
	}{
		"none":                           {nil, "kelp", ""},
		"one, of whatever role":          {[]Unit{server}, "kelp-agent", "kelp"},
		"both, never started":            {[]Unit{server, agent}, "kelp-agent", "kelp-agent"},
		"both, one starts with the host": {[]Unit{enabled(server), agent}, "kelp-agent", "kelp"},
		"both, one runs":                 {[]Unit{enabled(server), state(agent, "active")}, "kelp", "kelp-agent"},
		"both, one has failed":           {[]Unit{server, state(agent, "failed")}, "kelp", "kelp-agent"},
	} {
		if got := choose(c.found, c.role); got.Name != c.want {
			t.Errorf("%s: %q, want %q", name, got.Name, c.want)
		}
	}
}

// What only a server can do is said of one, wherever the doctor runs.
func TestRestartServer(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]Evidence{
		"systemctl restart kelp":              {Server: true, Unit: Unit{Name: "kelp"}},
		"on a server: systemctl restart kelp": {Unit: Unit{Name: "kelp-agent"}},
	} {
		if got := restartServer(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
