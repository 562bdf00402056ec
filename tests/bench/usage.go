package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Usage is what a group of processes takes.
type Usage struct {
	Processes int     `json:"processes"`
	PSS       float64 `json:"pssMegabytes"`
	Anonymous float64 `json:"anonymousMegabytes"`
	CPU       float64 `json:"cpuPercentOfOneCore"`
}

// process is one process at one moment.
type process struct {
	group     string
	pss, anon float64 // megabytes
	ticks     float64 // of 1/100 s, user and system
}

// listing prints for each process of the host: number, name, user and system
// ticks, PSS and anonymous kilobytes, cgroup.
const listing = `for p in /proc/[0-9]*; do
	read -r stat 2>/dev/null <$p/stat || continue
	rest=${stat##*) }
	set -- $rest
	cpu=$((${12} + ${13}))
	mem=$(awk '/^Pss:/ {p=$2} /^Anonymous:/ {a=$2} END {print p+0, a+0}' $p/smaps_rollup 2>/dev/null) || continue
	echo "${p#/proc/} $(tr ' ' _ <$p/comm) $cpu $mem $(grep -m1 -e name=systemd -e '^0::' $p/cgroup)"
done; true`

// processes reads the host's processes, by number.
func (m *subject) processes(ctx context.Context) (map[string]process, error) {
	out, err := m.host.Shell(ctx, listing)
	if err != nil {
		return nil, fmt.Errorf("read the host's processes: %w", err)
	}
	found := map[string]process{}
	for _, line := range strings.Split(out, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		var numbers [3]float64
		for i := range numbers {
			if numbers[i], err = strconv.ParseFloat(fields[2+i], 64); err != nil {
				return nil, fmt.Errorf("read process %q: %w", line, err)
			}
		}
		if group := m.group(fields[1], fields[5]); group != "" {
			found[fields[0]] = process{group: group, ticks: numbers[0], pss: numbers[1] / 1024, anon: numbers[2] / 1024}
		}
	}
	return found, nil
}

// group says what a process is: it is told by its name and its cgroup.
func (m *subject) group(name, cgroup string) string {
	switch {
	case strings.Contains(cgroup, "kubepods"):
		return "pods"
	case strings.HasPrefix(name, "containerd-shim"):
		return "shims"
	}
	for _, unit := range m.system.units() {
		if strings.Contains(cgroup, "/"+unit+".service") {
			return "daemons"
		}
	}
	return ""
}

// usage sums the groups up: memory as it is at the end, CPU of what was there
// the whole time.
func usage(before, after map[string]process, seconds float64) (daemons, shims, pods Usage) {
	groups := map[string]*Usage{"daemons": &daemons, "shims": &shims, "pods": &pods}
	for pid, p := range after {
		u := groups[p.group]
		u.Processes++
		u.PSS += p.pss
		u.Anonymous += p.anon
		if earlier, ok := before[pid]; ok {
			u.CPU += p.ticks - earlier.ticks // a tick is a hundredth of a second
		}
	}
	for _, u := range groups {
		u.CPU /= seconds
	}
	return daemons, shims, pods
}
