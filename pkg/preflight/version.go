package preflight

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	semver "k8s.io/apimachinery/pkg/util/version"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/version"
)

// Stamp is what the version file in the data directory holds: who started
// well on it last.
type Stamp struct {
	Version    string `json:"version"`    // kelp's
	Kubernetes string `json:"kubernetes"` // of what is in it
}

// release is the version to compare: Kubernetes', for it decides what the
// datastore holds, else kelp's, which begins with it; nil if there is none.
func (s Stamp) release() *semver.Version {
	for _, text := range []string{s.Kubernetes, s.Version} {
		if v, err := semver.ParseSemantic(text); err == nil {
			return v
		}
	}
	return nil
}

// WriteVersion notes that this kelp has started well on the data directory.
func WriteVersion(cfg config.Config) error {
	text, err := json.Marshal(Stamp{Version: version.Version, Kubernetes: version.KubernetesVersion})
	if err != nil {
		return fmt.Errorf("note version: %w", err)
	}
	if _, err := atomicfile.WriteIfChanged(cfg.Paths().VersionFile, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("note version: %w", err)
	}
	return nil
}

// checkVersion compares who wrote the data with who is to run on it.
func checkVersion(path string, now Stamp) []Finding {
	const check = "version"
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []Finding{good(check, "no other version of kelp has used the data directory")}
	}
	var wrote Stamp
	if err == nil {
		err = json.Unmarshal(text, &wrote)
	}
	if err != nil {
		return []Finding{failure(check, fmt.Sprintf("who wrote the data cannot be read from %s: %v", path, err), "remove the file if it was this version of kelp or an older one")}
	}
	return compare(path, wrote, now)
}

// compare refuses data of a newer minor version: it may hold objects in
// versions that this one cannot read. Within a minor version what is stored
// does not change.
func compare(path string, wrote, now Stamp) []Finding {
	const check = "version"
	theirs, ours := wrote.release(), now.release()
	text := fmt.Sprintf("the data was written by the newer kelp %s (%s), and this is %s", wrote.Version, path, now.Version)
	fix := "run that version or a newer one, or restore a backup from before"
	switch {
	case theirs == nil || ours == nil:
		return []Finding{warning(check, fmt.Sprintf("kelp %s wrote the data, which cannot be compared with %s", wrote.Version, now.Version), "if it was newer, use that one")}
	case theirs.Major() != ours.Major() && ours.LessThan(theirs), theirs.Minor() > ours.Minor():
		return []Finding{failure(check, text, fix)}
	case ours.LessThan(theirs):
		return []Finding{warning(check, text, "this is supported within a minor version")}
	}
	return []Finding{good(check, "the data was written by kelp "+wrote.Version)}
}
