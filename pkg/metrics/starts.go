package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// CountStart counts a start in a file, which is gone when the machine boots, and
// returns how many there were.
func CountStart(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 1, fmt.Errorf("count the start: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		n = 0 // there is none, or nothing that can be read: it begins anew
	}
	n++
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return n, fmt.Errorf("count the start: %w", err)
	}
	if err := atomicfile.Write(path, fmt.Appendf(nil, "%d\n", n), 0o600); err != nil {
		return n, fmt.Errorf("count the start: %w", err)
	}
	return n, nil
}
