package doctor

import (
	"context"
	"os/exec"
	"slices"
	"strings"
)

// units are what kelp is called by systemd.
var units = []string{"kelp", "kelp-agent"}

// unitOf is what systemd calls kelp in a role.
func unitOf(server bool) string {
	if server {
		return "kelp"
	}
	return "kelp-agent"
}

// observeUnit asks systemd, where there is one, on a machine that is a server or an
// agent.
func observeUnit(ctx context.Context, server bool) Unit {
	var found []Unit
	for _, name := range units {
		out, err := exec.CommandContext(ctx, "systemctl", "show", name, "--property=LoadState,ActiveState,UnitFileState,Result,NRestarts").Output()
		if err != nil {
			return Unit{} // no systemd
		}
		if u := parseUnit(string(out)); u.Name != "" {
			u.Name = name
			found = append(found, u)
		}
	}
	u := choose(found, unitOf(server))
	if u.Name != "" {
		log, _ := exec.CommandContext(ctx, "journalctl", "--unit="+u.Name, "--lines=200", "--no-pager", "--output=cat").Output() // none is nothing seen
		u.Errors = errorLines(string(log))
	}
	return u
}

// choose returns this machine's unit. Packages bring both: it is the one that runs, or
// has failed, else the one that starts with the machine, else that of the role.
func choose(found []Unit, role string) Unit {
	for _, is := range []func(Unit) bool{
		func(u Unit) bool { return u.Active != "inactive" },
		func(u Unit) bool { return u.Enabled },
		func(u Unit) bool { return u.Name == role },
		func(Unit) bool { return true },
	} {
		if i := slices.IndexFunc(found, is); i >= 0 {
			return found[i]
		}
	}
	return Unit{}
}

// parseUnit reads systemctl's lines of the form Key=value. The name is set where
// there is such a unit.
func parseUnit(text string) Unit {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = value
		}
	}
	if values["LoadState"] != "loaded" {
		return Unit{}
	}
	return Unit{Name: "loaded", Active: values["ActiveState"], Enabled: values["UnitFileState"] == "enabled", Result: values["Result"], Restarts: values["NRestarts"]}
}

// mostErrors is how many lines are kept.
const mostErrors = 10

// errorLines are what the last run has said of errors that end it: its last
// words, and what follows from them is on the lines after, indented.
func errorLines(log string) []string {
	var found []string
	joined := false
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "error: "):
			found, joined = append(found, strings.TrimPrefix(line, "error: ")), true
		case joined && strings.HasPrefix(line, "       "):
			found[len(found)-1] += "; " + strings.TrimSpace(line)
		case strings.Contains(line, "kelp starts"), strings.Contains(line, "kelp agent starts"):
			found, joined = nil, false // what came before is over
		case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "):
			found, joined = append(found, line), false
		default:
			joined = false
		}
	}
	return slices.Clone(found[max(0, len(found)-mostErrors):])
}
