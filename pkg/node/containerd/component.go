package containerd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	// The plugins that containerd is made of register themselves.
	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins"

	"github.com/containerd/containerd/v2/cmd/containerd/server"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/kelp-project/kelp/pkg/config"
)

// ErrNotStarted is returned by Ready until containerd listens.
var ErrNotStarted = errors.New("containerd has not started yet")

// Containerd is the embedded containerd.
type Containerd struct {
	cfg     config.Config
	in      Inputs
	hosts   *hosts
	logger  atomic.Pointer[logrus.Logger] // while it runs
	started atomic.Bool

	mu   sync.Mutex
	conn *grpc.ClientConn
}

// New returns containerd, not yet running. It must be called when the log has
// been set up and nothing else runs yet: what containerd says outside of any
// context goes to the package variable log.L, which is replaced by a quiet one.
func New(cfg config.Config, in Inputs) *Containerd {
	log.L = log.G(quiet(context.Background()))
	return &Containerd{cfg: cfg, in: in, hosts: newHosts(cfg.Containerd.Registries, cfg.Paths().ContainerdHosts)}
}

// Registries takes another registries file from now on.
func (c *Containerd) Registries(file string) { c.hosts.use(file) }

// Run starts containerd and blocks until ctx ends; then it stops containerd
// and leaves containers running. It works once per process.
func (c *Containerd) Run(ctx context.Context) error {
	p := c.cfg.Paths()
	if err := c.hosts.load(); err != nil {
		return err
	}
	if err := setDamagedAside(ctx, p); err != nil {
		return err
	}
	if err := prepare(ctx, p); err != nil {
		return err
	}
	// Plugins get a context of their own that ends after they were closed,
	// and a logger that says "loading plugin" eighty times only to debuggers.
	inner, cancel := context.WithCancel(quiet(context.WithoutCancel(ctx)))
	defer cancel()
	c.logger.Store(log.G(inner).Logger)
	conf, err := c.Effective()
	if err != nil {
		return err
	}
	if err := server.CreateTopLevelDirectories(conf); err != nil {
		return fmt.Errorf("create containerd's directories: %w", err)
	}
	restore := klogVerbosity()
	srv, err := server.New(inner, conf)
	restore()
	if err != nil {
		return fmt.Errorf("initialise containerd's plugins: %w", err)
	}
	defer srv.Stop()
	if err := srv.Start(inner); err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	// containerd makes its sockets 0660; the group is root's, but 0600 is what we promise.
	for _, socket := range []string{p.ContainerdSocket, p.ContainerdSocket + ".ttrpc"} {
		if err := os.Chmod(socket, 0o600); err != nil {
			return fmt.Errorf("restrict containerd's socket: %w", err)
		}
	}
	srv.Wait()
	c.started.Store(true)
	defer c.close()
	if err := c.hosts.follow(ctx); err != nil {
		log.G(ctx).WithError(err).Warn("changes of the registries file need a restart")
	}
	<-ctx.Done()
	return nil
}

// Ready asks the CRI over its socket whether pods can be run.
func (c *Containerd) Ready(ctx context.Context) error {
	if !c.started.Load() {
		return ErrNotStarted
	}
	conn, err := c.dial()
	if err != nil {
		return err
	}
	status, err := cri.NewRuntimeServiceClient(conn).Status(ctx, &cri.StatusRequest{})
	if err != nil {
		return fmt.Errorf("ask containerd for its status: %w", err)
	}
	for _, condition := range status.GetStatus().GetConditions() {
		if condition.Type == cri.RuntimeReady && !condition.Status {
			return fmt.Errorf("containerd is not ready: %s %s", condition.Reason, condition.Message)
		}
	}
	return nil
}

func (c *Containerd) dial() (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return c.conn, nil
	}
	conn, err := grpc.NewClient("unix://"+c.cfg.Paths().ContainerdSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd: %w", err)
	}
	c.conn = conn
	return conn, nil
}

func (c *Containerd) close() {
	c.started.Store(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// prepare does what containerd's main function does before it builds a server.
func prepare(ctx context.Context, p config.Paths) error {
	for _, dir := range []string{p.ContainerdRoot, filepath.Dir(p.ContainerdSocket), p.CNIConf} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("create containerd's directories: %w", err)
		}
	}
	// `kelp ctr run` looks for its shim in PATH; so do plugins for their helpers.
	if path := os.Getenv("PATH"); !slices.Contains(filepath.SplitList(path), p.Bin) {
		if err := os.Setenv("PATH", strings.Join([]string{p.Bin, path}, string(os.PathListSeparator))); err != nil {
			return fmt.Errorf("put %s into PATH: %w", p.Bin, err)
		}
	}
	if err := mount.SetTempMountLocation(filepath.Join(p.ContainerdRoot, "tmpmounts")); err != nil {
		return fmt.Errorf("prepare temporary mounts: %w", err)
	}
	warnings, err := mount.CleanupTempMounts(0)
	if err != nil {
		return fmt.Errorf("unmount temporary mounts of the last run: %w", err)
	}
	for _, w := range warnings {
		log.G(ctx).WithError(w).Warn("a temporary mount of the last run stays")
	}
	return nil
}

// klogVerbosity returns a function that puts klog's verbosity back to what it
// is now: the CRI plugin sets it from containerd's log level.
func klogVerbosity() (restore func()) {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	v := flags.Lookup("v")
	before := v.Value.String()
	return func() {
		if err := v.Value.Set(before); err != nil {
			panic(err) // a value that was read from the same flag
		}
	}
}
