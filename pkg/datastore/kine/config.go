package kine

import (
	"net/url"
	"time"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/endpoint"
	"github.com/k3s-io/kine/pkg/tls"
)

// Synchronous is when SQLite waits for the disk.
type Synchronous string

// The modes that are of use with a write-ahead log. Normal is there to be
// measured against: it can lose acknowledged writes when the power fails.
const (
	Full   Synchronous = "FULL"
	Normal Synchronous = "NORMAL"
)

// Remote is an SQL database on another machine.
type Remote struct {
	Endpoint string // postgres://… or mysql://…; it may hold a password
	CAFile   string // the authority of its certificate
	CertFile string // what it is shown, if it wants that
	KeyFile  string
}

// remoteConnections are what one server has open at most: PostgreSQL takes 100
// by default, of all.
const remoteConnections = 25

// Options are where the store is and how careful it is.
type Options struct {
	Remote      *Remote     // in place of a file
	File        string      // the database
	Socket      string      // where clients connect, a path
	Synchronous Synchronous // Full when empty
}

// dsn names the database and its settings as kine's driver wants them.
func (o Options) dsn() string {
	mode := o.Synchronous
	if mode == "" {
		mode = Full
	}
	params := url.Values{
		"_journal_mode":    {"WAL"},
		"_synchronous":     {string(mode)},
		"_busy_timeout":    {"30000"}, // kine's own: ms to wait for a lock
		"_txlock":          {"immediate"},
		"_stmt_cache_size": {"20"}, // kine's own
		// The space is reused anyway, and VACUUM rewrites the whole file.
		"_kine_disable_startup_vacuum": {"1"},
	}
	return "sqlite://" + o.File + "?" + params.Encode()
}

// endpointConfig fills in every field for which kine has a default only on
// its command line.
func (o Options) endpointConfig() endpoint.Config {
	cfg := o.localConfig()
	if o.Remote != nil {
		cfg.Endpoint = o.Remote.Endpoint
		cfg.BackendTLSConfig = tls.Config{CAFile: o.Remote.CAFile, CertFile: o.Remote.CertFile, KeyFile: o.Remote.KeyFile}
		cfg.ConnectionPoolConfig.MaxOpen = remoteConnections
	}
	return cfg
}

func (o Options) localConfig() endpoint.Config {
	return endpoint.Config{
		Listener: "unix://" + o.Socket,
		Endpoint: o.dsn(),
		ConnectionPoolConfig: generic.ConnectionPoolConfig{
			MaxIdle:     20,
			MaxIdleTime: 2 * time.Minute,
		},
		// Progress of watches. The API's consistent reads need it: they ask for it, and
		// are answered at a moment at which all watches are as far as the database,
		// for which they may wait long while other servers write to it.
		NotifyInterval:      5 * time.Second,
		EmulatedETCDVersion: "3.6.11", // the version from which the API trusts that progress
		CompactInterval:     0,        // the API compacts every five minutes
		CompactTimeout:      5 * time.Second,
		CompactMinRetain:    1000,
		CompactBatchSize:    1000,
		PollBatchSize:       500,
		// Writes of this process notify the watches directly: it is for those of
		// other servers, and otherwise only a safety net.
		PollInterval: time.Second,
	}
}
