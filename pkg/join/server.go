package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/latest"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/internal/tally"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
	"github.com/kelp-project/kelp/pkg/version"
)

// holdFor is how long a request waits for the API of this server.
const holdFor = 5 * time.Second

// Server answers machines that join.
type Server struct {
	cfg    config.Config
	engine *pki.Engine
	client *latest.Value[kubernetes.Interface]
	asked  *latest.Value[struct{}] // set by the first request
	limits *limits
	now    func() time.Time
	grow   func(context.Context) error
	nodes  atomic.Pointer[corelisters.NodeLister] // nil until they are known
	shared *latest.Value[map[string][]string]     // the cluster's settings as they are now

	requests *tally.Tally // by their path's last part
	tokens   *tally.Tally // by their role
}

// NewServer returns a server that answers as soon as Run has its client. Grow
// says whether another server can be taken: nil, a BusyError or a RefusalError.
func NewServer(cfg config.Config, engine *pki.Engine, grow func(context.Context) error) *Server {
	s := &Server{cfg: cfg, engine: engine, client: latest.New[kubernetes.Interface](), asked: latest.New[struct{}](), limits: newLimits(), now: time.Now, grow: grow}
	s.requests, s.tokens = newTallies()
	s.shared = latest.Of(cfg.ClusterWide())
	return s
}

// Apply has machines that join told of the cluster's settings in another
// configuration.
func (s *Server) Apply(_ context.Context, cfg config.Config) error {
	s.shared.Set(cfg.ClusterWide())
	return nil
}

// Register registers the handlers.
func (s *Server) Register(handle func(pattern string, handler http.Handler)) {
	handle("GET "+clusterPath, s.answer(s.cluster))
	handle("POST "+nodePath, s.answer(s.node))
	handle("POST "+peerPath, s.answer(s.peer))
	handle("GET "+epochPath, http.HandlerFunc(s.epoch))
}

// Ready is nil when requests are answered.
func (s *Server) Ready(context.Context) error {
	if _, ok, _ := s.client.Peek(); !ok {
		return errors.New("the API is not there yet")
	}
	return nil
}

// Asked waits until there is a machine that asks, or ctx ends.
func (s *Server) Asked(ctx context.Context) {
	_, _ = s.asked.Get(ctx) // a wait that has ended is all that it says
}

// Run connects to the API, sees to the records of the tokens that are in
// files, and lets go of the names of Nodes that are deleted, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	rest, err := clientcmd.BuildConfigFromFlags("", pki.KubeconfigOf(s.cfg.Paths(), pki.Kelp))
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.UserAgent = "kelp-join"
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if err := token.Publish(ctx, s.cfg, token.NewStore(client), s.now()); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := s.own(ctx, client); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.client.Set(client)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return token.Follow(ctx, s.cfg, client) })
	group.Go(func() error { return s.release(ctx, client) })
	group.Go(func() error { return s.settings(ctx, client) })
	return group.Wait()
}

// own binds this server's name to this machine, as every other node's is to its.
func (s *Server) own(ctx context.Context, client kubernetes.Interface) error {
	secret, err := (&Member{paths: s.cfg.Paths()}).secret()
	if err != nil {
		return err
	}
	return poll.Forever(ctx, func(ctx context.Context) error { return bind(ctx, client, s.cfg.Node.Name, secret, true, s.now()) })
}

// request is one that is being answered.
type request struct {
	*http.Request
	client kubernetes.Interface
	who    who
}

// answer is what all handlers share: wait for the API, authenticate, encode.
func (s *Server) answer(do func(context.Context, request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Set(struct{}{})
		ctx, cancel := context.WithTimeout(r.Context(), holdFor)
		defer cancel()
		client, err := s.client.Get(ctx)
		if err != nil {
			write(w, http.StatusServiceUnavailable, map[string]string{"error": "the server is starting"})
			return
		}
		ctx = r.Context()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		entry := log.G(ctx).WithField("peer", source(r)).WithField("path", r.URL.Path)
		by, err := s.authenticate(ctx, r, client)
		var result any
		if err == nil {
			entry = entry.WithField("by", by.String())
			result, err = do(ctx, request{r, client, by})
		}
		var no *problem
		what := path.Base(r.URL.Path)
		switch {
		case err == nil:
			s.requests.Add(what, answered)
			level := logrus.InfoLevel // each use of a token leaves a line
			if by.node != "" {
				level = logrus.DebugLevel
			}
			entry.Log(level, "a machine was answered")
			write(w, http.StatusOK, result)
		case errors.As(err, &no):
			s.requests.Add(what, refused)
			entry.WithField("error", no.text).Warn("a machine was refused")
			write(w, no.status, map[string]string{"error": no.text})
		default:
			s.requests.Add(what, failed)
			entry.WithError(err).Error("a machine could not be answered")
			write(w, http.StatusInternalServerError, map[string]string{"error": "the server has a problem: see its log"})
		}
	})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a joiner that has gone asks again
}

func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// cluster answers what the cluster is.
func (s *Server) cluster(ctx context.Context, r request) (any, error) {
	servers, err := Servers(ctx, r.client)
	if err != nil {
		return nil, err
	}
	// One that has just started is not registered yet, and answers all the same.
	if own := AddressOf(s.cfg); own != "" && !slices.Contains(servers, own) {
		servers = append(servers, own)
	}
	authorities := map[string]string{}
	for _, name := range []string{pki.ServerCA, pki.ClientCA} {
		text, err := os.ReadFile(pki.AuthorityFiles(s.cfg.Paths(), name).Cert)
		if err != nil {
			return nil, fmt.Errorf("read authority %s: %w", name, err)
		}
		authorities[name] = string(text)
	}
	shared, _, _ := s.shared.Peek()
	return Cluster{Version: version.Version, Settings: shared, Servers: servers, Authorities: authorities}, nil
}

// AddressOf is where other machines reach a server's API, as that is registered:
// host:port, "" if it is not known.
func AddressOf(cfg config.Config) string {
	address := cfg.API.AdvertiseAddress
	if !address.IsValid() && len(cfg.Node.IPs) > 0 {
		address = cfg.Node.IPs[0]
	}
	if !address.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(address, cfg.API.HTTPSPort).String()
}

// Servers are the API servers as they have registered themselves, host:port.
func Servers(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	slice, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("list API servers: %w", err)
	}
	return ServersOf(slice), nil
}

// ServersOf are the addresses, host:port, in the API servers' own EndpointSlice.
func ServersOf(slice *discoveryv1.EndpointSlice) []string {
	var found []string
	for _, p := range slice.Ports {
		for _, e := range slice.Endpoints {
			for _, a := range e.Addresses {
				if p.Port != nil {
					found = append(found, net.JoinHostPort(a, strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	return found
}

// node answers with a node's certificates.
func (s *Server) node(ctx context.Context, r request) (any, error) {
	var want NodeRequest
	if err := json.NewDecoder(r.Body).Decode(&want); err != nil {
		return nil, &problem{http.StatusBadRequest, "the request cannot be read: " + err.Error()}
	}
	if err := s.check(ctx, r, want); err != nil {
		return nil, err
	}
	if err := bind(ctx, r.client, want.Name, want.Secret, r.who.mayHave(want.Name), s.now()); err != nil {
		return nil, err
	}
	signed, err := s.engine.Sign(s.table(want), want.Requests)
	if err != nil {
		return nil, &problem{http.StatusBadRequest, err.Error()}
	}
	if err := s.spend(ctx, r); err != nil {
		return nil, err
	}
	return NodeResponse{Certificates: signed}, nil
}

// spend notes the use of a token that is good once: after everything that could
// be refused, before the answer.
func (s *Server) spend(ctx context.Context, r request) error {
	if !r.who.record.Once {
		return nil
	}
	err := token.NewStore(r.client).Use(ctx, r.who.record.ID, s.now())
	if errors.Is(err, token.ErrUsed) {
		return &problem{http.StatusUnauthorized, refusal(err)}
	}
	return err
}

// table is what the certificates of another machine say: nothing of loopback,
// which is every machine's.
func (s *Server) table(want NodeRequest) []pki.Entry {
	cfg := s.cfg
	cfg.Node.Name, cfg.Node.IPs, cfg.Node.ExternalIPs = want.Name, want.IPs, nil
	table := pki.NodeTable(cfg)
	for i := range table {
		if table[i].Usage == pki.Serving {
			table[i].DNS, table[i].IPs = []string{want.Name}, append([]netip.Addr(nil), want.IPs...)
		}
	}
	return table
}
