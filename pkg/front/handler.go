package front

import (
	"context"
	"net/http"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
)

// holdFor is how long a request waits for the API to arrive before it is
// told to come again. A start takes about two seconds, so a client sees a
// slow answer in place of an error.
const holdFor = 5 * time.Second

// ServeHTTP routes one request. Paths are compared as they are: the API must
// see what the client sent, so nothing is cleaned or redirected.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/ping":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("pong\n"))
	case path == "/cacerts":
		f.serveAuthority(w)
	case strings.HasPrefix(path, ownPrefix):
		f.own.ServeHTTP(w, r)
	default:
		f.serveAPI(w, r)
	}
}

func (f *Front) serveAuthority(w http.ResponseWriter) {
	pem, err := os.ReadFile(f.opts.CAFile)
	if err != nil {
		writeStatus(w, http.StatusServiceUnavailable, "the certificate authority does not exist yet")
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(pem)
}

func (f *Front) serveAPI(w http.ResponseWriter, r *http.Request) {
	api, ok := f.waitAPI(r.Context())
	if !ok {
		writeStatus(w, http.StatusServiceUnavailable, "the Kubernetes API is starting")
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(api.Context, cancel)()
	api.Handler.ServeHTTP(w, r.WithContext(ctx))
}

// waitAPI returns the API, waiting a little for it.
func (f *Front) waitAPI(ctx context.Context) (API, bool) {
	if api, ok, _ := f.opts.API.Peek(); ok && api.Context.Err() == nil {
		return api, true
	}
	ctx, cancel := context.WithTimeout(ctx, f.hold)
	defer cancel()
	for {
		api, ok, changed := f.opts.API.Peek()
		if ok && api.Context.Err() == nil {
			return api, true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return API{}, false
		}
	}
}

var statusCodec = func() runtime.Encoder {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{})
}()

// writeStatus answers as the API would, so that kubectl and client-go show
// the message and try again.
func writeStatus(w http.ResponseWriter, code int, message string) {
	status := &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Message:  message,
		Reason:   metav1.StatusReasonServiceUnavailable,
		Code:     int32(code),
	}
	if code == http.StatusNotFound {
		status.Reason = metav1.StatusReasonNotFound
	} else {
		status.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = statusCodec.Encode(status, w)
}
