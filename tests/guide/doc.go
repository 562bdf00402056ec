// Package guide holds the settings of a guide to Kubernetes that people learn from,
// block by block and word for word, as a corpus for tests: each of them works in
// kelp, or is refused with a word on what came in its place.
//
// The blocks are the files of testdata, and docs/guide.md lists them. Each package that
// takes settings tests its own; tests/guide_test.go has them all in force on one host.
package guide
