package containerd

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	dockerconfig "github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/google/go-cmp/cmp"

	"github.com/kelp-project/kelp/pkg/internal/golden"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

func TestHostFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"mirrors", "empty"} {
		data, err := os.ReadFile("testdata/registries/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		reg, err := ParseRegistries("registries.yaml", data)
		if err != nil {
			t.Fatal(err)
		}
		files, err := HostFiles(reg)
		if err != nil {
			t.Fatal(err)
		}
		var all bytes.Buffer
		for _, dir := range sortedKeys(files) {
			fmt.Fprintf(&all, "==> %s/hosts.toml\n%s\n", dir, files[dir])
		}
		golden.Check(t, "registries/"+name+".golden", all.Bytes())
	}
}

func TestBadRegistries(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/registries/*.bad.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(data), "\n")
		want := strings.ReplaceAll(strings.TrimPrefix(first, "# want: "), "FILE", path)
		if _, err := ParseRegistries(path, data); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", path, err, want)
		}
	}
}

// hostsOf asks containerd's own code which hosts it would try for a registry.
func hostsOf(t *testing.T, dir, registry string) []docker.RegistryHost {
	t.Helper()
	ask := dockerconfig.ConfigureHosts(t.Context(), dockerconfig.HostOptions{HostDir: dockerconfig.HostDirFromRoot(dir)})
	hosts, err := ask(registry)
	if err != nil {
		t.Fatal(err)
	}
	return hosts
}

func TestContainerdReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHosts("testdata/registries/mirrors.yaml", dir)
	if err := h.load(); err != nil {
		t.Fatal(err)
	}
	for registry, want := range map[string][]string{
		"docker.io":             {"https://mirror.example:5000/v2", "https://proxy.example/v2/hub", "https://registry-1.docker.io/v2"},
		"registry.example:5000": {"http://registry.example:5000/v2"},
		"other.example":         {"https://cache.example/v2", "https://other.example/v2"},
	} {
		var got []string
		for _, host := range hostsOf(t, dir, registry) {
			got = append(got, host.Scheme+"://"+host.Host+host.Path)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", registry, diff)
		}
	}
	hub := hostsOf(t, dir, "docker.io")
	if got := hub[2].Header.Get("Authorization"); got != "Basic aHViOnNlY3JldA==" {
		t.Errorf("Docker Hub is asked with %q", got)
	}
	if got := hub[1].Header.Get("Authorization"); got != "" {
		t.Errorf("a mirror without credentials is sent %q", got)
	}
}

// tokenRegistry is a registry that wants a token, for which it wants a
// password, as Docker Hub and Harbor do.
func tokenRegistry(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewTLSServer(mux)
	t.Cleanup(srv.Close)
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "kelp" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"token": "let-me-in"}`)
	})
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer let-me-in" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+srv.URL+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Content-Length", "2")
	})
	return srv
}

func TestCredentialsReachARegistryThatWantsTokens(t *testing.T) {
	t.Parallel()
	srv := tokenRegistry(t)
	host := strings.TrimPrefix(srv.URL, "https://")
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for password, works := range map[string]bool{"secret": true, "wrong": false} {
		file := filepath.Join(dir, password+".yaml")
		text := fmt.Sprintf("configs:\n  %q:\n    auth: {username: kelp, password: %s}\n    tls: {ca_file: %s}\n", host, password, ca)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		h := newHosts(file, filepath.Join(dir, password))
		if err := h.load(); err != nil {
			t.Fatal(err)
		}
		// The CRI always has a function for credentials, which may know of none.
		none := func(string) (string, string, error) { return "", "", nil }
		resolver := docker.NewResolver(docker.ResolverOptions{Hosts: dockerconfig.ConfigureHosts(t.Context(),
			dockerconfig.HostOptions{HostDir: dockerconfig.HostDirFromRoot(h.dir), Credentials: none})})
		if _, _, err := resolver.Resolve(t.Context(), host+"/app:v1"); (err == nil) != works {
			t.Errorf("with the password %s: %v", password, err)
		}
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	// The directory does not exist yet: people make it later.
	h := newHosts(filepath.Join(root, "etc", "kelp", "registries.yaml"), filepath.Join(root, "hosts"))
	if err := h.load(); err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(h.dir, "theirs.example", "hosts.toml")
	write(t, theirs, "server = \"https://theirs.example\"\n")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.follow(ctx) }()

	exists := func(registry string, want bool) func(context.Context) error {
		return func(context.Context) error {
			if _, err := os.Stat(filepath.Join(h.dir, registry, "hosts.toml")); (err == nil) != want {
				return fmt.Errorf("%s: %w", registry, err)
			}
			return nil
		}
	}
	for _, step := range []struct{ text, there, gone string }{
		{"mirrors:\n  a.example: {endpoint: [https://m.example]}\n", "a.example", "b.example"},
		{"mirrors:\n  b.example: {endpoint: [https://m.example]}\n", "b.example", "a.example"},
		{"mirrors:\n  a.example: {endpoint: [nonsense://]}\n", "b.example", "a.example"},
		{"mirrors:\n  a.example: {endpoint: [https://m.example]}\n", "a.example", "b.example"},
	} {
		write(t, h.file, step.text)
		if err := poll.Until(ctx, 10*time.Second, exists(step.there, true)); err != nil {
			t.Fatalf("after %q: %v", step.text, err)
		}
		if err := poll.Until(ctx, 10*time.Second, exists(step.gone, false)); err != nil {
			t.Fatalf("after %q: %v", step.text, err)
		}
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Errorf("a hosts.toml that kelp did not write is gone: %v", err)
	}
	if info, err := os.Stat(filepath.Join(h.dir, "a.example", "hosts.toml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("credentials may be read by others: %v %v", info, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("follow ended with %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
