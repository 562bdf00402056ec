package config

import (
	"path/filepath"
	"regexp"

	"github.com/robfig/cron/v3"
)

// SnapshotDir is the directory that holds the snapshots.
func (c Config) SnapshotDir() string {
	if c.Snapshots.Dir != "" {
		return c.Snapshots.Dir
	}
	return c.Paths().Snapshots
}

// snapshotName is what is a part of a file's name, of an object's in the API,
// and of a key in S3.
var snapshotName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// SnapshotName says whether a name is good for snapshots.
func SnapshotName(name string) bool { return snapshotName.MatchString(name) }

func (k *checker) snapshots() {
	s := k.cfg.Snapshots
	if _, err := cron.ParseStandard(s.Schedule); err != nil {
		k.addf("snapshots.schedule", "%q is not a cron expression such as \"0 */6 * * *\": %v", s.Schedule, err)
	}
	if !SnapshotName(s.Name) {
		k.addf("snapshots.name", "%q is not made of lower-case letters, digits and dashes", s.Name)
	}
	if s.Dir != "" && !filepath.IsAbs(s.Dir) {
		k.addf("snapshots.dir", "%q is not an absolute path", s.Dir)
	}
}
