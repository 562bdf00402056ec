package front

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/log"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/pkg/internal/latest"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// pair makes a self-signed certificate for localhost with the common name.
func pair(t *testing.T, name string) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// fixture is a running listener.
type fixture struct {
	*Front
	t    *testing.T
	dir  string
	stop func()
	url  string
}

func (f fixture) write(name string) {
	f.t.Helper()
	cert, key := pair(f.t, name)
	for file, text := range map[string][]byte{"cert": cert, "key": key, "ca": cert} {
		// By rename, as the engine that renews certificates does it.
		path := filepath.Join(f.dir, file)
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			f.t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			f.t.Fatal(err)
		}
	}
}

func start(t *testing.T, api *latest.Value[API], adapt ...func(*Front)) fixture {
	t.Helper()
	f := fixture{t: t, dir: t.TempDir()}
	f.write("first")
	f.Front = New(Options{
		Address:  "127.0.0.1:0",
		CertFile: filepath.Join(f.dir, "cert"), KeyFile: filepath.Join(f.dir, "key"), CAFile: filepath.Join(f.dir, "ca"),
		API: api,
	})
	for _, a := range adapt {
		a(f.Front)
	}
	logger := log.G(context.Background()).WithField("component", "front") // as the supervisor gives it
	ctx, cancel := context.WithCancel(log.WithLogger(context.Background(), logger))
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stopped := false
	f.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(f.stop)
	if err := poll.Until(t.Context(), 5*time.Second, f.Ready); err != nil {
		t.Fatal(err)
	}
	f.url = "https://" + f.Addr().String()
	return f
}

func client(http2 bool) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2,
	}}
}

func serving(handler http.HandlerFunc) *latest.Value[API] {
	return latest.Of(API{Handler: handler, Context: context.Background()})
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// What a handler logs is the front's, and has its level.
func TestHandlersLogAsTheFront(t *testing.T) {
	t.Parallel()
	f := start(t, serving(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, log.G(r.Context()).Data["component"])
	}))
	for _, http2 := range []bool{false, true} {
		if _, body := get(t, client(http2), f.url+"/api"); body != "front" {
			t.Errorf("HTTP/2 %t: a handler's logger is of %q, want front", http2, body)
		}
	}
}

func TestOwnPathsAndTheRest(t *testing.T) {
	t.Parallel()
	f := start(t, serving(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "api %s %s", r.Proto, r.URL.Path) }))
	f.Handle("/v1-kelp/join", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "join") }))
	ca, err := os.ReadFile(filepath.Join(f.dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/ping": "pong\n", "/cacerts": string(ca), "/v1-kelp/join": "join",
		"/api/v1": "api HTTP/2.0 /api/v1", "/": "api HTTP/2.0 /", "/v1-kelpie": "api HTTP/2.0 /v1-kelpie",
		// What the API must see as it was sent.
		"/a//b/../c": "api HTTP/2.0 /a//b/../c",
	} {
		if _, body := get(t, client(true), f.url+path); body != want {
			t.Errorf("%s: got %q, want %q", path, body, want)
		}
	}
	if resp, _ := get(t, client(true), f.url+"/v1-kelp/nothing"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown path of ours is %s", resp.Status)
	}
	if resp, _ := get(t, client(false), f.url+"/x"); resp.ProtoMajor != 1 {
		t.Errorf("HTTP/1.1 was answered with %s", resp.Proto)
	}
}

func TestWithoutAPIThereIsAStatus(t *testing.T) {
	t.Parallel()
	api := latest.New[API]()
	f := start(t, api, func(f *Front) { f.hold = 10 * time.Millisecond })
	resp, body := get(t, client(true), f.url+"/api")
	var status metav1.Status
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || status.Kind != "Status" ||
		status.Reason != metav1.StatusReasonServiceUnavailable || status.Code != 503 {
		t.Errorf("got %s, %v, %s", resp.Status, resp.Header, body)
	}
	if _, body := get(t, client(true), f.url+"/ping"); body != "pong\n" {
		t.Errorf("ping: %q", body)
	}
}

func TestAnEarlyRequestIsHeldUntilTheAPIArrives(t *testing.T) {
	t.Parallel()
	api := latest.New[API]()
	f := start(t, api)
	answer := make(chan string)
	go func() {
		resp, err := client(true).Get(f.url + "/api")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(string(body), err)
	}()
	select {
	case early := <-answer:
		t.Fatalf("answered before there was an API: %s", early)
	case <-time.After(100 * time.Millisecond):
	}
	api.Set(API{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") }), Context: context.Background()})
	if got := <-answer; got != "here<nil>" {
		t.Errorf("got %s", got)
	}
}

func TestUpgradedConnectionsPassThrough(t *testing.T) {
	t.Parallel()
	f := start(t, serving(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack %s: %v", r.Proto, err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		_, _ = io.Copy(conn, buffered)
	}))
	for _, protocol := range []string{"SPDY/3.1", "websocket"} {
		conn, reader := upgrade(t, f, protocol)
		fmt.Fprintln(conn, "hello through", protocol)
		if line, err := reader.ReadString('\n'); err != nil || line != "hello through "+protocol+"\n" {
			t.Errorf("%s: %q, %v", protocol, line, err)
		}
		_ = conn.Close()
	}
}

func upgrade(t *testing.T, f fixture, protocol string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := tls.Dial("tcp", f.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade to %s: %v, %v", protocol, resp, err)
	}
	return conn, reader
}

func TestStopEndsWatchesAndUpgradedConnections(t *testing.T) {
	t.Parallel()
	f := start(t, serving(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	conn, reader := upgrade(t, f, "x")
	defer conn.Close()
	resp, err := client(true).Get(f.url + "/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began := time.Now()
	f.stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Log("the watch ended cleanly")
	}
	if _, err := reader.ReadByte(); err == nil {
		t.Error("the upgraded connection is still open")
	}
}

func TestTheAPIsEndEndsItsRequests(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	api := latest.Of(API{Context: ctx, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(ended)
	})})
	f := start(t, api, func(f *Front) { f.hold = 10 * time.Millisecond })
	resp, err := client(true).Get(f.url + "/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	end()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the watch goes on")
	}
	if resp, _ := get(t, client(true), f.url+"/api"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after the API's end a request is answered %s", resp.Status)
	}
	if _, body := get(t, client(true), f.url+"/cacerts"); !strings.HasPrefix(body, "-----BEGIN CERTIFICATE") {
		t.Errorf("/cacerts is %q", body)
	}
}
