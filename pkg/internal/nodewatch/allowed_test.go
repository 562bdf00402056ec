package nodewatch

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func kubeconfig(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n", url)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAllowedWaitsForARole(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/nodes" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		if tries.Add(1) < 3 {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer srv.Close()
	if err := Allowed(t.Context(), kubeconfig(t, srv.URL), "/api/v1/nodes?limit=1"); err != nil || tries.Load() != 3 {
		t.Errorf("%v after %d tries", err, tries.Load())
	}
}

func TestAllowedSaysWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		cancel()
	}))
	defer srv.Close()
	err := Allowed(ctx, kubeconfig(t, srv.URL), "/api/v1/nodes")
	if err == nil || !strings.Contains(err.Error(), "permission to read /api/v1/nodes") {
		t.Errorf("got %v", err)
	}
}
