package snapshot

import (
	"fmt"
	"time"
)

// Format is the version of the form that this kelp writes. It reads no newer one.
const Format = 1

// The entries of a file.
const (
	metadataEntry = "metadata.json"
	sealedEntry   = "keys.sealed"
	pagePrefix    = "pages/"
	summaryEntry  = "summary.json"
)

// The size of a page: it is written when it has a megabyte, with one object more
// than that. No larger entry than maxEntry is read.
const (
	pageBytes = 1 << 20
	maxEntry  = 64 << 20
)

// Metadata says what a snapshot is of.
type Metadata struct {
	Format     int       `json:"format"`
	Cluster    string    `json:"cluster"`   // UID of the namespace kube-system
	Authority  string    `json:"authority"` // SHA-256 of the servers' authority
	Kelp       string    `json:"kelp"`
	Kubernetes string    `json:"kubernetes"`
	Datastore  string    `json:"datastore"`
	Node       string    `json:"node"`
	Reason     string    `json:"reason"`
	Pinned     bool      `json:"pinned,omitempty"` // retention leaves it
	Created    time.Time `json:"created"`
	// Settings are those that the whole cluster shares.
	Settings map[string][]string `json:"settings,omitempty"`
}

// Summary is what a snapshot holds.
type Summary struct {
	Revision int64  `json:"revision"`
	Keys     int    `json:"keys"`
	Bytes    int64  `json:"bytes"`  // of the keys and values
	SHA256   string `json:"sha256"` // of all that comes before, uncompressed
}

// BrokenError says what is wrong with a file.
type BrokenError struct {
	File   string
	Reason string
}

// Error names the file and what is wrong with it.
func (e *BrokenError) Error() string { return fmt.Sprintf("snapshot %s %s", e.File, e.Reason) }

// Hint says what to do.
func (e *BrokenError) Hint() string { return "kelp snapshot list shows others" }
