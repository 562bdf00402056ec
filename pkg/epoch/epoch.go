package epoch

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// Epoch is the life of a cluster's data since it was last restored, or reset to
// what one server had. What is of an earlier one is superseded: its server sets it
// aside and joins anew. A cluster that was never restored has none.
type Epoch struct {
	Number int64     `json:"number"` // of restores and resets
	ID     string    `json:"id"`     // tells two apart that were made at the same time
	Reason string    `json:"reason"`
	Node   string    `json:"node"` // where
	At     time.Time `json:"at"`
}

// Supersedes says whether data of the other epoch is not the cluster's any more.
func (e Epoch) Supersedes(other Epoch) bool { return e.Number > other.Number }

// Contradicts says whether both are of clusters that went apart: two servers were
// restored, or reset, without knowing of each other.
func (e Epoch) Contradicts(other Epoch) bool { return e.Number == other.Number && e.ID != other.ID }

// Current is that of this server's data.
func Current(paths config.Paths) (e Epoch, err error) {
	text, err := os.ReadFile(paths.Epoch)
	if errors.Is(err, fs.ErrNotExist) {
		return Epoch{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err != nil {
		return Epoch{}, fmt.Errorf("read the epoch of this server's data: %w", err)
	}
	return e, nil
}

// Adopt notes that this server's data is of the epoch, or will be.
func (e Epoch) Adopt(paths config.Paths) error { return e.Write(paths.Epoch) }

// Write writes it to a file. One that is none needs no file.
func (e Epoch) Write(path string) error {
	if e.Number == 0 {
		return nil
	}
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("encode epoch: %w", err)
	}
	return atomicfile.Write(path, append(text, '\n'), 0o600)
}

// Next begins an epoch after this one.
func (e Epoch) Next(reason, node string, now time.Time) Epoch {
	return Epoch{Number: e.Number + 1, ID: rand.Text(), Reason: reason, Node: node, At: now.UTC().Truncate(time.Second)}
}
