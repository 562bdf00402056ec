package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

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
	switch schedule, err := cron.ParseStandard(s.Schedule); {
	case err != nil:
		k.addf("snapshots.schedule", "%q is not a cron expression such as \"0 */6 * * *\": %v", s.Schedule, err)
	case schedule.Next(time.Now()).IsZero(): // cron has looked through five years
		k.addf("snapshots.schedule", "%q never comes: set snapshots.disable to have none", s.Schedule)
	}
	if !SnapshotName(s.Name) {
		k.addf("snapshots.name", "%q is not made of lower-case letters, digits and dashes", s.Name)
	}
	if s.Dir != "" && !filepath.IsAbs(s.Dir) {
		k.addf("snapshots.dir", "%q is not an absolute path", s.Dir)
	}
}

func (k *checker) s3() {
	s := k.cfg.S3
	if s.Bucket == "" {
		return
	}
	if host := strings.TrimPrefix(strings.TrimPrefix(s.Endpoint, "https://"), "http://"); host == "" || strings.ContainsAny(host, "/ ?") {
		k.addf("s3.endpoint", "%q is not a host, such as s3.amazonaws.com or http://10.0.0.9:9000", s.Endpoint)
	}
	switch {
	case s.AuthFrom == "" && s.CredentialsFile == "":
		k.addf("s3.bucket", "is set, and nothing says with which keys it is used: set s3.authFrom or s3.credentialsFile")
	case s.CredentialsFile != "" && !filepath.IsAbs(s.CredentialsFile):
		k.addf("s3.credentialsFile", "%q is not an absolute path", s.CredentialsFile)
	case s.CAFile != "" && !filepath.IsAbs(s.CAFile):
		k.addf("s3.caFile", "%q is not an absolute path", s.CAFile)
	}
	if strings.HasPrefix(s.Folder, "/") || strings.Contains(s.Folder, "..") {
		k.addf("s3.folder", "%q is not a folder such as clusters/one", s.Folder)
	}
	if u, err := url.Parse(s.Proxy); err != nil || s.Proxy != "" && u.Host == "" {
		k.addf("s3.proxy", "is not a URL such as http://proxy:3128")
	}
}
