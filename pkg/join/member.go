package join

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/balancer"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/token"
)

// The pace of trying again, and of telling that it is still so.
const (
	retryEvery = 300 * time.Millisecond
	tellEvery  = 10 * time.Second
	// patience is how long a machine that has joined before asks servers
	// before it starts with what it was told last time.
	patience = 3 * time.Second
)

// Member is a machine that joins, or has joined: what it knows of the cluster
// is in files below the data directory.
type Member struct {
	paths config.Paths
	first string // host:port in the configuration, "" if there is none
	token token.Token
}

// NewMember reads what the machine remembers.
func NewMember(cfg config.Config) (*Member, error) {
	m := &Member{paths: cfg.Paths()}
	if cfg.Server != "" {
		first, err := config.ServerAddress(cfg.Server)
		if err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
		m.first = first
	}
	_, known, err := m.remembered()
	if err != nil {
		return nil, err
	}
	servers, err := m.Servers()
	if err != nil {
		return nil, err
	}
	t, given, err := token.Given(cfg)
	if err != nil {
		return nil, err
	}
	m.token = t
	switch {
	case len(servers) == 0:
		return nil, errors.New("no server is given: set server, as --server=https://10.0.0.1:6443")
	case !given && !known:
		return nil, errors.New("no token is given: set token or tokenFile; a server has one for agents in " + m.paths.AgentTokenFile)
	}
	return m, nil
}

// Servers are all that this machine has heard of, host:port, in the order in
// which they are tried: the one in the configuration, those that the balancer
// has seen since, those that it was told of when it last asked, and former ones.
func (m *Member) Servers() ([]string, error) {
	cluster, _, err := m.remembered()
	if err != nil {
		return nil, err
	}
	balanced, err := balancer.Remembered(m.paths.BalancerFile)
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, s := range slices.Concat([]string{m.first}, balanced.Servers, cluster.Servers, balanced.Former) {
		if s != "" && !slices.Contains(servers, s) {
			servers = append(servers, s)
		}
	}
	return servers, nil
}

// Cluster asks the servers for the cluster's settings and authorities, and
// remembers them. A machine that has never joined waits for a server; one that
// has goes on with what it was told, when none answers.
func (m *Member) Cluster(ctx context.Context) (Cluster, error) {
	last, known, err := m.remembered()
	if err != nil {
		return Cluster{}, err
	}
	asking := ctx
	if known {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		asking = limited
	}
	var answer Cluster
	err = m.try(asking, known, func(ctx context.Context, c *Client) (err error) {
		answer, err = c.Cluster(ctx)
		return err
	})
	var refused *RefusedError
	switch {
	case err != nil && known && ctx.Err() == nil && !errors.As(err, &refused):
		log.G(ctx).WithError(err).Warn("no server answers; this machine goes on with what it knows of the cluster")
		return last, nil
	case err != nil:
		return Cluster{}, err
	}
	return answer, m.remember(answer)
}

// Enrol gets the node's certificates where they are missing or due, and writes
// the kubeconfigs of the node part for the API at url.
func (m *Member) Enrol(ctx context.Context, cfg config.Config, url string) error {
	cfg.Node.ExternalIPs = nil // a server cannot know that they are this machine's
	table := pki.NodeTable(cfg)
	if due, err := pki.Due(table, time.Now()); err != nil {
		return err
	} else if due != "" {
		if err := m.request(ctx, cfg, table); err != nil {
			return err
		}
		log.G(ctx).WithField("reason", due).Info("got the node's certificates")
	}
	return pki.WriteNodeKubeconfigs(cfg, url)
}

func (m *Member) request(ctx context.Context, cfg config.Config, table []pki.Entry) error {
	secret, err := m.secret()
	if err != nil {
		return err
	}
	requests, err := pki.Requests(table)
	if err != nil {
		return err
	}
	want := NodeRequest{Name: cfg.Node.Name, IPs: cfg.Node.IPs, Secret: secret, Requests: requests}
	return m.try(ctx, true, func(ctx context.Context, c *Client) error {
		answer, err := c.Node(ctx, want)
		if err != nil {
			return err
		}
		return pki.Install(table, answer.Certificates)
	})
}

// try asks one server after the other until one answers or refuses, or ctx
// ends. Where the authority is not known yet it is fetched and compared.
func (m *Member) try(ctx context.Context, known bool, do func(context.Context, *Client) error) error {
	var told time.Time
	for {
		servers, err := m.Servers() // anew, for the balancer follows them
		if err != nil {
			return err
		}
		var problems []string
		for _, server := range servers {
			err := m.ask(ctx, server, known, do)
			var refused *RefusedError
			if err == nil || errors.As(err, &refused) || errors.Is(err, ErrAuthority) {
				return err
			}
			problems = append(problems, err.Error())
		}
		last := errors.New(strings.Join(problems, "; "))
		if time.Since(told) >= tellEvery {
			told = time.Now()
			log.G(ctx).WithError(last).WithField("next", retryEvery).Info("waiting for a server")
			process.NotifyWaiting("waiting for a server: "+strings.Join(servers, ", "), 3*tellEvery)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no server has answered: %w", last)
		case <-time.After(retryEvery):
		}
	}
}

func (m *Member) ask(ctx context.Context, server string, known bool, do func(context.Context, *Client) error) error {
	path := pki.AuthorityFiles(m.paths, pki.ServerCA).Cert
	authority, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || !known:
		trusted := false
		if authority, trusted, err = Authority(ctx, server, m.token); err != nil {
			return err
		}
		if !trusted {
			log.G(ctx).WithField("server", server).Warn("the token has no hash of the cluster's authority: whoever answers is trusted")
		}
	case err != nil:
		return fmt.Errorf("read the cluster's authority: %w", err)
	}
	if certificate := m.certificate(); certificate != nil {
		// The token may have ended long ago. But a node that was deleted, or
		// whose cluster has new authorities, needs it again.
		err := with(ctx, server, authority, token.Token{}, certificate, do)
		var refused *RefusedError
		if !errors.As(err, &refused) || m.token.Secret == "" {
			return err
		}
	}
	return with(ctx, server, authority, m.token, nil, do)
}

func with(ctx context.Context, server string, authority []byte, t token.Token, certificate *tls.Certificate, do func(context.Context, *Client) error) error {
	c, err := NewClient(server, authority, t, certificate)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(ctx, c)
}

// TLS is what this machine's node shows and trusts when it connects to a server.
func TLS(paths config.Paths) (*tls.Config, error) { return (&Member{paths: paths}).TLS() }

// TLS is what this node shows and trusts when it connects to a server.
func (m *Member) TLS() (*tls.Config, error) {
	authority, err := os.ReadFile(pki.AuthorityFiles(m.paths, pki.ServerCA).Cert)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	roots := x509.NewCertPool()
	own := m.certificate()
	if !roots.AppendCertsFromPEM(authority) || own == nil {
		return nil, errors.New("this node has no valid certificate")
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{*own}, MinVersion: tls.VersionTLS12}, nil
}

// certificate is this node's own, nil if it has none that is valid.
func (m *Member) certificate() *tls.Certificate {
	files := pki.FilesOf(m.paths, pki.Kubelet)
	c, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil || c.Leaf == nil || time.Now().After(c.Leaf.NotAfter) {
		return nil
	}
	return &c
}

// remember writes the answer, and the authorities as files.
func (m *Member) remember(answer Cluster) error {
	for _, name := range []string{pki.ServerCA, pki.ClientCA} {
		if _, err := pki.ParseChain([]byte(answer.Authorities[name])); err != nil {
			return fmt.Errorf("the server's authority %s: %w", name, err)
		}
	}
	text, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		return fmt.Errorf("remember the cluster: %w", err)
	}
	for _, dir := range []string{m.paths.TLS, m.paths.AgentTLS, filepath.Dir(m.paths.ClusterFile)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("remember the cluster: %w", err)
		}
	}
	for _, name := range []string{pki.ServerCA, pki.ClientCA} {
		if _, err := atomicfile.WriteIfChanged(pki.AuthorityFiles(m.paths, name).Cert, []byte(answer.Authorities[name]), 0o600); err != nil {
			return fmt.Errorf("remember the cluster: %w", err)
		}
	}
	// Last: it says that this machine has joined.
	if _, err := atomicfile.WriteIfChanged(m.paths.ClusterFile, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("remember the cluster: %w", err)
	}
	return nil
}

func (m *Member) remembered() (c Cluster, known bool, err error) {
	text, err := os.ReadFile(m.paths.ClusterFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return Cluster{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return Cluster{}, false, fmt.Errorf("read what is known of the cluster, %s: %w; remove it to join anew", m.paths.ClusterFile, err)
	}
	return c, true, nil
}

// secret is this machine's own, made at its first join.
func (m *Member) secret() (string, error) {
	text, err := os.ReadFile(m.paths.NodeSecret)
	switch {
	case err == nil && len(text) >= minSecret:
		return string(text), nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read the machine's own secret: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(m.paths.NodeSecret), 0o700); err != nil {
		return "", fmt.Errorf("make directory of the machine's own secret: %w", err)
	}
	secret := rand.Text()
	if err := atomicfile.Write(m.paths.NodeSecret, []byte(secret), 0o600); err != nil {
		return "", fmt.Errorf("write the machine's own secret: %w", err)
	}
	return secret, nil
}
