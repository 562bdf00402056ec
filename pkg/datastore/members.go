package datastore

import (
	"fmt"
	"path/filepath"

	etcdbackend "go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/kelp-project/kelp/pkg/config"
)

// MembersOnDisk are the members of etcd as this server, which must not run, last
// knew them: where each serves clients, by name.
func MembersOnDisk(cfg config.Config) (map[string]string, error) {
	file := filepath.Join(cfg.Paths().Etcd, "member", "snap", "db")
	if !exists(file) {
		return nil, fmt.Errorf("there is no etcd member's database in %s", cfg.Paths().Etcd)
	}
	db := etcdbackend.NewDefaultBackend(zap.NewNop(), file)
	defer db.Close()
	members, _ := schema.NewMembershipBackend(zap.NewNop(), db).MustReadMembersFromBackend()
	urls := map[string]string{}
	for _, m := range members {
		// The last one is for other machines.
		if n := len(m.ClientURLs); n > 0 {
			urls[m.Name] = m.ClientURLs[n-1]
		}
	}
	return urls, nil
}
