package balancer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// list is what the file holds.
type list struct {
	Servers []string `json:"servers"`
}

// Remembered are the servers that a balancer has written to its file, none if
// there is no file.
func Remembered(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of servers: %w", err)
	}
	var l list
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("read the list of servers %s: %w; remove it, and give an address with --server", path, err)
	}
	return l.Servers, nil
}

func write(path string, servers []string) error {
	text, err := json.MarshalIndent(list{servers}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the list of servers: %w", err)
	}
	if err := atomicfile.Write(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the list of servers: %w", err)
	}
	return nil
}
