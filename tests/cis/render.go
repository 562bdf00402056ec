package cis

import (
	"fmt"
	"strings"
)

// Render returns the tables of docs/security.md.
func Render() string {
	var b strings.Builder
	counts := map[Verdict]int{}
	total := 0
	for _, s := range Controls() {
		for _, c := range s.Controls {
			counts[c.Verdict]++
			total++
		}
	}
	fmt.Fprintf(&b, "Of %d controls, %d pass by default, %d with the settings above, %d do not apply, and %d are about what you put into the cluster.\n",
		total, counts[Passes], counts[Setting], counts[Absent], counts[Yours])
	for _, s := range Controls() {
		fmt.Fprintf(&b, "\n### %s\n\n| control | what it asks | kelp | |\n|---|---|---|---|\n", s.Title)
		for _, c := range s.Controls {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.ID, c.Asks, c.Verdict, c.How)
		}
	}
	return b.String()
}

// Begin and End are the lines of the page between which the tables are.
const (
	Begin = "<!-- generated from tests/cis: go test ./tests/cis -update -->\n"
	End   = "<!-- the end of what is generated -->\n"
)

// Put puts the tables into the page.
func Put(page string) (string, error) {
	before, rest, begins := strings.Cut(page, Begin)
	_, after, ends := strings.Cut(rest, End)
	if !begins || !ends {
		return "", fmt.Errorf("the page has no lines %q and %q", Begin, End)
	}
	return before + Begin + "\n" + Render() + "\n" + End + after, nil
}
