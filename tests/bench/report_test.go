package main

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTableHasRatiosToTheSeparateProcesses(t *testing.T) {
	t.Parallel()
	table := Report{Machine: "a machine", When: "today", Figures: []Figures{
		{System: "kelp-sqlite", NodeReady: 3, PackagedReady: 8, Daemons: Usage{Anonymous: 150}, Pods: Usage{Anonymous: 50}},
		{System: "separate", NodeReady: 30, Daemons: Usage{Anonymous: 400}},
	}}.Table()
	table = regexp.MustCompile(` +`).ReplaceAllString(table, " ")
	for _, want := range []string{
		"| start: node Ready, s | 3.00 (0.10) | 30.00 |",
		"| start: packaged components Ready, s | 8.00 | – |",
		"| idle: anonymous memory, with shims and pods, MB | 200 (0.50) | 400 |",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no line %q in\n%s", want, table)
		}
	}
}

func TestTableHasTheClustersFigures(t *testing.T) {
	t.Parallel()
	table := Report{Cluster: &ClusterFigures{SecondServer: 7, Failovers: []float64{1, 2, 4}, AgentUsage: Usage{PSS: 120}}}.Table()
	table = regexp.MustCompile(` +`).ReplaceAllString(table, " ")
	for _, want := range []string{
		"| second server, with the move from SQLite to etcd: Ready, s | 7.00 |", "pause, p50, s | 2.00 |", "pause, max, s | 4.00 |", "| agent, idle: PSS, MB | 120 |",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no line %q in\n%s", want, table)
		}
	}
}

func TestUsageCountsCPUOnlyOfWhatWasThereAllTheTime(t *testing.T) {
	t.Parallel()
	before := map[string]process{"1": {group: "daemons", ticks: 100}, "2": {group: "pods", ticks: 7}}
	after := map[string]process{
		"1": {group: "daemons", ticks: 220, anon: 10}, "2": {group: "pods", ticks: 7, anon: 1}, "3": {group: "pods", ticks: 1000, anon: 2},
	}
	daemons, shims, pods := usage(before, after, 60)
	if daemons != (Usage{Processes: 1, Anonymous: 10, CPU: 2}) || shims != (Usage{}) || pods != (Usage{Processes: 2, Anonymous: 3}) {
		t.Errorf("daemons %+v, shims %+v, pods %+v", daemons, shims, pods)
	}
}

func TestPercentileIsOfSortedTimes(t *testing.T) {
	t.Parallel()
	took := make([]time.Duration, 0, 600)
	for i := range 600 {
		took = append(took, time.Duration(600-i)*time.Millisecond)
	}
	for percent, want := range map[int]float64{50: 301, 99: 595} {
		if got := percentile(took, percent); got != want {
			t.Errorf("percentile %d is %v, not %v", percent, got, want)
		}
	}
	if percentile(nil, 99) != 0 {
		t.Error("no times have a percentile")
	}
}

func TestAnIssuedCertificateIsItsAuthoritys(t *testing.T) {
	t.Parallel()
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	p, err := ca.issue("system:node:a", "system:nodes", "127.0.0.1", "a")
	if err != nil {
		t.Fatal(err)
	}
	if config := ca.kubeconfig(p); !strings.Contains(config, "client-key-data: ") || len(p.key) == 0 {
		t.Errorf("the kubeconfig has no key:\n%s", config)
	}
}
