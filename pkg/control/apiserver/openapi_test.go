package apiserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/server/mux"
)

// Descriptions are made when somebody asks, once, and not while the server is prepared.
func TestDescriptionsAreMadeWhenAskedFor(t *testing.T) {
	t.Parallel()
	made := map[string]int{}
	install := func(path string) func(*mux.PathRecorderMux) {
		return func(m *mux.PathRecorderMux) {
			made[path]++
			m.HandlePrefix(path+"/", http.NotFoundHandler())
			m.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(path)) })
		}
	}
	d := describe(install(openAPIv2), install(openAPIv3))
	own := mux.NewPathRecorderMux("own")
	d.install(own)
	get := func(h http.Handler, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}

	if code, _ := get(own, openAPIv3); code != http.StatusServiceUnavailable || len(made) != 0 {
		t.Fatalf("while the server is prepared: status %d, made %v", code, made)
	}
	d.prepared.Store(true)
	d.settle()
	d.settle() // a second time does no harm

	// Whoever asks before the aggregator knows them waits, and other requests do not.
	served := d.await(own)
	if code, body := get(served, openAPIv2); code != http.StatusOK || body != openAPIv2 {
		t.Errorf("version 2: status %d, %q", code, body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		served.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, openAPIv3+"/api/v1", nil))
	}()
	select {
	case <-answered:
		t.Error("a description was given before the aggregator had it")
	case <-time.After(50 * time.Millisecond):
	}
	if code, body := get(own, openAPIv3); code != http.StatusOK || body != openAPIv3 {
		t.Errorf("to the aggregator: status %d, %q", code, body)
	}
	<-answered
	cancel()
	for range 2 {
		if code, _ := get(served, openAPIv3); code != http.StatusOK {
			t.Errorf("status %d when the aggregator knows them", code)
		}
	}
	if made[openAPIv2] != 1 || made[openAPIv3] != 1 {
		t.Errorf("they were made so often: %v", made)
	}
}
