// Package cis holds the controls of the CIS Kubernetes Benchmark 1.12, what they ask
// in words of our own, and how kelp stands to each.
//
// Its main type is Control. Controls lists all of them, by the sections of the
// benchmark. Collect looks at a booted host, and a control's Check is a pure function
// of what was seen, so that it can be tried on what must not pass. docs/security.md
// has the table that Render makes; tests/cis_test.go runs the checks.
package cis
