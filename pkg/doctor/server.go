package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/supervisor"
	"github.com/kelp-project/kelp/pkg/trial"
	"github.com/kelp-project/kelp/pkg/version"
)

// Status is the answer to kelp status.
type Status struct {
	Version string `json:"version"`
	Node    string `json:"node"`
	PID     int    `json:"pid"`
	API     string `json:"api"` // the API server's URL, as the machine itself reaches it
	Ready   bool   `json:"ready"`
	// Upgrade is the upgrade of this machine that is on trial, or was the last.
	Upgrade trial.State `json:"upgrade,omitzero"`
	supervisor.Snapshot
}

// Server answers on the status socket.
type Server struct {
	cfg      config.Config
	url      string // of the API
	path     string // of the socket
	snapshot func() supervisor.Snapshot
	mux      *http.ServeMux
	http     *http.Server
	done     chan struct{}
}

// NewServer returns a server that tells what snapshot returns. The URL is
// where this machine reaches the API.
func NewServer(cfg config.Config, url string, snapshot func() supervisor.Snapshot) *Server {
	s := &Server{cfg: cfg, url: url, path: cfg.Paths().StatusSocket, snapshot: snapshot, done: make(chan struct{})}
	s.mux = http.NewServeMux()
	s.mux.HandleFunc("GET /status", s.status)
	s.http = &http.Server{Handler: s.mux, ReadHeaderTimeout: 5 * time.Second}
	return s
}

// Listen makes the socket and answers on it until Close.
func (s *Server) Listen(ctx context.Context) error {
	path := s.path
	// Others may pass through the directory: containers with user namespaces
	// have their roots below it.
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return fmt.Errorf("make directory of the status socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the last run's status socket: %w", err)
	}
	// Made private before it gets its name: there is no moment at which
	// somebody else could connect.
	tmp := path + ".new"
	_ = os.Remove(tmp)
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", tmp)
	if err != nil {
		return fmt.Errorf("listen on the status socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(tmp, 0o600), os.Rename(tmp, path)); err != nil {
		return errors.Join(fmt.Errorf("restrict the status socket: %w", err), l.Close())
	}
	go func() { // ends with Close
		defer close(s.done)
		_ = s.http.Serve(rootOnly{l.(*net.UnixListener)}) // http.ErrServerClosed
	}()
	return nil
}

// Close ends the answers and removes the socket.
func (s *Server) Close() {
	_ = s.http.Close()
	<-s.done
	_ = os.Remove(s.path)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	snap := s.snapshot()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Status{
		Version: version.Version, Node: s.cfg.Node.Name, PID: os.Getpid(), API: s.url,
		Ready: snap.Ready(), Snapshot: snap, Upgrade: trial.Store{Dir: s.cfg.Paths().Upgrade}.State(),
	})
}
