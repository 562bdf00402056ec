package balancer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// List is what the file holds: addresses, host:port.
type List struct {
	// Servers are those that are registered.
	Servers []string `json:"servers"`
	// Former were servers, the latest first. A cluster that stops in an orderly
	// way has its servers unregister one after the other, down to the last: it
	// is not the only one to ask when they come back.
	Former []string `json:"former,omitempty"`
}

// maxFormer bounds how many former servers are remembered: more than a cluster
// has, so that all may stop, and some move, and none is forgotten.
const maxFormer = 8

// change returns the list with other servers registered.
func (l List) change(servers []string) List {
	next := List{Servers: servers}
	for _, s := range slices.Concat(l.Servers, l.Former) {
		if len(next.Former) < maxFormer && !slices.Contains(servers, s) && !slices.Contains(next.Former, s) {
			next.Former = append(next.Former, s)
		}
	}
	return next
}

// Remembered is what a balancer has written to its file, nothing if there is no
// file.
func Remembered(path string) (List, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return List{}, nil
	}
	if err != nil {
		return List{}, fmt.Errorf("read the list of servers: %w", err)
	}
	var l List
	if err := json.Unmarshal(text, &l); err != nil {
		return List{}, fmt.Errorf("read the list of servers %s: %w; remove it, and give an address with --server", path, err)
	}
	return l, nil
}

func write(path string, l List) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("write the list of servers: %w", err)
	}
	if err := atomicfile.Write(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the list of servers: %w", err)
	}
	return nil
}
