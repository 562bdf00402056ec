package datastore

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/etcd"
	"github.com/kelp-project/kelp/pkg/datastore/kine"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Endpoint is how to reach the datastore. The files are empty for a unix
// socket, whose mode is what protects it.
type Endpoint struct {
	URLs     []string
	CAFile   string
	CertFile string
	KeyFile  string
}

// backend is what the two datastores have in common.
type backend interface {
	Run(ctx context.Context) error
}

var (
	_ backend = (*kine.Store)(nil)
	_ backend = (*etcd.Member)(nil)
)

// Datastore is the datastore of this server, of the kind in the
// configuration.
type Datastore struct {
	name     string
	balanced bool
	backend  backend
	endpoint Endpoint

	mu     sync.Mutex
	client *clientv3.Client // for Ready, made at its first call
}

// New returns the datastore that the configuration asks for; nothing is
// opened before Run.
func New(cfg config.Config) *Datastore { return NewAt(cfg, cfg.Paths()) }

// NewAt is New with other paths than the configuration's.
func NewAt(cfg config.Config, paths config.Paths) *Datastore {
	switch Kind(cfg) {
	case config.DatastoreSQLite:
		return newSQLite(paths)
	case config.DatastoreExternal:
		return newExternal(cfg.Datastore, paths)
	}
	return newEtcd(EtcdInputs(cfg, paths), paths)
}

// newExternal is etcd as it is, or SQL behind kine on this server.
func newExternal(d config.Datastore, paths config.Paths) *Datastore {
	if d.ExternalEtcd() {
		return &Datastore{name: "external etcd", backend: elsewhere{}, endpoint: Endpoint{URLs: d.EtcdURLs(), CAFile: d.CAFile, CertFile: d.CertFile, KeyFile: d.KeyFile}}
	}
	store := kine.New(kine.Options{Remote: &kine.Remote{Endpoint: d.Endpoint, CAFile: d.CAFile, CertFile: d.CertFile, KeyFile: d.KeyFile}, Socket: paths.KineSocket})
	return &Datastore{name: "external", backend: store, endpoint: Endpoint{URLs: []string{store.URL()}}}
}

// elsewhere is a datastore that nobody runs here.
type elsewhere struct{}

// Run waits.
func (elsewhere) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func newSQLite(paths config.Paths) *Datastore {
	store := kine.New(kine.Options{File: paths.SQLiteFile, Socket: paths.KineSocket})
	return &Datastore{name: "sqlite", backend: store, endpoint: Endpoint{URLs: []string{store.URL()}}}
}

func newEtcd(in etcd.Inputs, paths config.Paths) *Datastore {
	client := pki.FilesOf(paths, pki.EtcdClient)
	d := &Datastore{name: "etcd", endpoint: Endpoint{CAFile: client.CA, CertFile: client.Cert, KeyFile: client.Key}}
	if d.balanced = exists(paths.ClusterFile); d.balanced {
		d.endpoint.URLs = []string{fmt.Sprintf("https://127.0.0.1:%d", etcd.BalancerPort)}
		in.Members = func() (*clientv3.Client, error) { return d.Client() }
	}
	member := etcd.New(in)
	if !d.balanced {
		d.endpoint.URLs = []string{member.URL()}
	}
	d.backend = member
	return d
}

// EtcdInputs are the inputs of the etcd member that a configuration means.
func EtcdInputs(cfg config.Config, paths config.Paths) etcd.Inputs {
	server, peer := pki.FilesOf(paths, pki.EtcdServer), pki.FilesOf(paths, pki.EtcdPeer)
	var address netip.Addr
	if len(cfg.Node.IPs) > 0 {
		address = cfg.Node.IPs[0]
	}
	return etcd.Inputs{
		Name:       cfg.Node.Name,
		Address:    address,
		Dir:        paths.Etcd,
		HTTPSocket: filepath.Join(paths.RunDir, "etcd-http.sock"),
		ClientPort: etcd.DefaultClientPort,
		PeerPort:   etcd.DefaultPeerPort,
		Server:     etcd.TLS{Cert: server.Cert, Key: server.Key, CA: server.CA},
		Peer:       etcd.TLS{Cert: peer.Cert, Key: peer.Key, CA: peer.CA},
		User:       cfg.Args.Etcd,
	}
}

// Name is sqlite or etcd.
func (d *Datastore) Name() string { return d.name }

// Endpoint is how to reach the datastore, known before it runs.
func (d *Datastore) Endpoint() Endpoint { return d.endpoint }

// Own is where this server's own database answers: SQLite's, or that of its member
// of etcd.
func (d *Datastore) Own() string {
	if d.balanced {
		return fmt.Sprintf("https://127.0.0.1:%d", etcd.DefaultClientPort)
	}
	return d.endpoint.URLs[0]
}

// Balanced says whether this server has joined others: what it asks etcd goes
// through a balancer at Endpoint, for its own member may be none that answers.
func (d *Datastore) Balanced() bool { return d.balanced }

// Client returns a new client of the datastore, or of the etcd member at these
// URLs, which the caller closes.
func (d *Datastore) Client(urls ...string) (*clientv3.Client, error) {
	e := d.endpoint
	if len(urls) > 0 {
		e.URLs = urls
	}
	return e.Client()
}

// ClientURLs are where the members of etcd serve clients on other machines.
func (d *Datastore) ClientURLs(ctx context.Context) ([]string, error) {
	client, err := d.readyClient()
	if err != nil {
		return nil, err
	}
	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list etcd's members: %w", err)
	}
	var urls []string
	for _, m := range list.Members {
		urls = append(urls, m.ClientURLs...)
	}
	return urls, nil
}

// Run opens the datastore and serves it until ctx ends.
func (d *Datastore) Run(ctx context.Context) error {
	defer d.closeClient()
	if err := d.backend.Run(ctx); err != nil {
		return fmt.Errorf("run %s datastore: %w", d.name, err)
	}
	return nil
}

// Ready is nil when a linearizable read is answered. It is safe for
// concurrent use.
func (d *Datastore) Ready(ctx context.Context) error {
	client, err := d.readyClient()
	if err != nil {
		return err
	}
	return Probe(ctx, client)
}

func (d *Datastore) readyClient() (*clientv3.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		return d.client, nil
	}
	client, err := d.endpoint.Client()
	if err != nil {
		return nil, err
	}
	d.client = client
	return client, nil
}

func (d *Datastore) closeClient() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		// Its only use is the probe; there is nothing to lose.
		_ = d.client.Close()
		d.client = nil
	}
}
