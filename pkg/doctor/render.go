package doctor

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kelp-project/kelp/pkg/supervisor"
)

// Table writes a status for people.
func Table(w io.Writer, st Status, now time.Time) error {
	state := "ready"
	if !st.Ready {
		state = "not ready"
	}
	fmt.Fprintf(w, "node %s is %s: kelp %s, process %d, up %s, API at %s\n", st.Node, state, st.Version, st.PID, short(now.Sub(st.Started)), st.API)
	if line := st.Upgrade.Line(now); line != "" {
		fmt.Fprintf(w, "upgrade: %s\n", oneLine(line))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "COMPONENT\tSTATE\tSINCE\tREADY AFTER\tNOTE")
	for _, c := range st.Components {
		after := "-"
		if c.ReadyAfter > 0 {
			after = fmt.Sprintf("%.2fs", c.ReadyAfter)
		}
		note := c.Reason + c.Note
		if len(c.WaitingFor) > 0 {
			note = "for " + strings.Join(c.WaitingFor, ", ")
		}
		if c.LastError != "" {
			note, _, _ = strings.Cut(c.LastError, "\n")
		}
		state := string(c.State)
		if c.Once && c.State == supervisor.Ready {
			state = "done"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Name, state, short(now.Sub(c.Since)), after, note)
	}
	return t.Flush()
}

// short is a duration as people say it.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
