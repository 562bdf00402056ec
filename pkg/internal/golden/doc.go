// Package golden compares what a test made with a file under testdata.
// `go test ./... -update` records; a run that records fails, so that a
// recording is always looked at before it passes.
package golden
