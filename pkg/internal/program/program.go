package program

import (
	"fmt"
	"os"
	"strings"
)

// Path is the path of the program that this process runs, as it is called now. os.Executable
// tells what it was called at the start, and an upgrade renames programs while
// they run. Of one that another has replaced it is the other's.
func Path() (string, error) { return PathOf(os.Getpid()) }

// PathOf is Path for another process.
func PathOf(pid int) (string, error) {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return "", fmt.Errorf("find the program of process %d: %w", pid, err)
	}
	return strings.TrimSuffix(path, " (deleted)"), nil
}
