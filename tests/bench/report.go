package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
)

// Report is all that one run measured.
type Report struct {
	Machine string    `json:"machine"`
	When    string    `json:"when"`
	Quick   bool      `json:"quick,omitempty"`
	Figures []Figures `json:"figures"`
	// Cluster is of three servers and an agent, if they were measured.
	Cluster *ClusterFigures `json:"cluster,omitempty"`
}

// machine describes where the figures were taken.
func machine() string {
	model, memory := "unknown processor", "unknown memory"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		model = field(string(text), "model name")
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		memory = field(string(text), "MemTotal")
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		release = []byte("unknown")
	}
	return fmt.Sprintf("%d x %s, %s, Linux %s", runtime.NumCPU(), model, memory, strings.TrimSpace(string(release)))
}

func field(text, name string) string {
	for _, line := range strings.Split(text, "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown " + name
}

// row is one line of the table.
type row struct {
	name  string
	value func(Figures) float64
	form  string
	ratio bool // kelp's figure over the separate processes' says something
}

var rows = []row{
	{"start: API ready, s", func(f Figures) float64 { return f.APIReady }, "%.2f", true},
	{"start: node Ready, s", func(f Figures) float64 { return f.NodeReady }, "%.2f", true},
	{"start: first pod Running, s", func(f Figures) float64 { return f.FirstPod }, "%.2f", true},
	{"start: packaged components Ready, s", func(f Figures) float64 { return f.PackagedReady }, "%.2f", false},
	{"start: processes that failed and were started anew", func(f Figures) float64 { return float64(f.Failures) }, "%.0f", false},
	{"restart with 40 pods: Ready, s", func(f Figures) float64 { return f.RestartReady }, "%.2f", true},
	{"idle: anonymous memory, daemons, MB", func(f Figures) float64 { return f.Daemons.Anonymous }, "%.0f", true},
	{"idle: anonymous memory, with shims and pods, MB", func(f Figures) float64 {
		return f.Daemons.Anonymous + f.Shims.Anonymous + f.Pods.Anonymous
	}, "%.0f", true},
	{"idle: PSS, daemons, MB", func(f Figures) float64 { return f.Daemons.PSS }, "%.0f", true},
	{"idle: PSS, with shims and pods, MB", func(f Figures) float64 { return f.Daemons.PSS + f.Shims.PSS + f.Pods.PSS }, "%.0f", true},
	{"idle: CPU, daemons, % of a core", func(f Figures) float64 { return f.Daemons.CPU }, "%.1f", true},
	{"idle: CPU, with shims and pods, % of a core", func(f Figures) float64 { return f.Daemons.CPU + f.Shims.CPU + f.Pods.CPU }, "%.1f", true},
	{"idle: datastore writes per s", func(f Figures) float64 { return f.DatastoreWrites }, "%.2f", true},
	{"40 pods: apply to all ready, s", func(f Figures) float64 { return f.FortyPods }, "%.2f", true},
	{"API writes at 20/s: p50, ms", func(f Figures) float64 { return f.WriteP50 }, "%.1f", true},
	{"API writes at 20/s: p99, ms", func(f Figures) float64 { return f.WriteP99 }, "%.1f", true},
	{"100 MB in the datastore: a snapshot, s", func(f Figures) float64 { return f.Snapshot }, "%.2f", false},
	{"100 MB in the datastore: API writes p99, ms", func(f Figures) float64 { return f.FilledP99 }, "%.1f", false},
	{"100 MB in the datastore: API writes p99 while snapshots are taken, ms", func(f Figures) float64 { return f.SnapshotP99 }, "%.1f", false},
}

// Table is the report for people, in Markdown. Where the separate processes
// were measured too, each of kelp's figures is followed by its ratio to theirs.
func (r Report) Table() string {
	var base *Figures
	for i := range r.Figures {
		if r.Figures[i].System == "separate" {
			base = &r.Figures[i]
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s, %s\n\n", r.Machine, r.When)
	w := tabwriter.NewWriter(&text, 0, 0, 1, ' ', 0)
	heads, rule := "|", "|---"
	for _, f := range r.Figures {
		heads += "\t| " + f.System
		rule += "\t|---"
	}
	_, _ = fmt.Fprintf(w, "%s\t|\n%s\t|\n", heads, rule) // a strings.Builder takes all
	for _, row := range rows {
		line := "| " + row.name
		for _, f := range r.Figures {
			line += "\t| " + row.cell(f, base)
		}
		_, _ = fmt.Fprintf(w, "%s\t|\n", line)
	}
	_ = w.Flush()
	if r.Cluster != nil {
		text.WriteString("\n" + r.Cluster.table())
	}
	return text.String()
}

// table is what was measured of a cluster, in Markdown.
func (c *ClusterFigures) table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 1, ' ', 0)
	line := func(name, form string, value float64) { _, _ = fmt.Fprintf(w, "| %s\t| "+form+"\t|\n", name, value) }
	_, _ = fmt.Fprintln(w, "| three servers and an agent\t| kelp\t|\n|---\t|---\t|")
	line("second server, with the move from SQLite to etcd: Ready, s", "%.2f", c.SecondServer)
	line("third server: Ready, s", "%.2f", c.ThirdServer)
	line("agent: Ready, s", "%.2f", c.Agent)
	if n := len(c.Failovers); n > 0 {
		line("leader killed: writes through the agent pause, p50, s", "%.2f", c.Failovers[n/2])
		line("leader killed: writes through the agent pause, max, s", "%.2f", c.Failovers[n-1])
	}
	line("agent, idle: PSS, MB", "%.0f", c.AgentUsage.PSS)
	line("agent, idle: anonymous memory, MB", "%.0f", c.AgentUsage.Anonymous)
	line("agent, idle: CPU, % of a core", "%.1f", c.AgentUsage.CPU)
	_ = w.Flush()
	return text.String()
}

func (r row) cell(f Figures, base *Figures) string {
	value := r.value(f)
	if value == 0 && !r.ratio {
		return "–"
	}
	cell := fmt.Sprintf(r.form, value)
	if r.ratio && base != nil && f.System != base.System && r.value(*base) > 0 {
		cell += fmt.Sprintf(" (%.2f)", value/r.value(*base))
	}
	return cell
}
