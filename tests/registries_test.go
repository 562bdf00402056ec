//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/kelp-project/kelp/tests/hosts"
)

const registryPassword = "open sesame"

// startRegistry serves a registry with the application's image on the lab's
// gateway, for a user and password only. It ends with the test.
func startRegistry(t *testing.T, repository string) (address string) {
	t.Helper()
	listener, err := lab.lab.Listen(t.Context(), "tcp", hosts.Gateway+":0")
	if err != nil {
		t.Fatal(err)
	}
	content := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ali" || password != registryPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		content.ServeHTTP(w, r)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close() // what it returns is in ended
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve the registry: %v", err)
		}
	})

	address = listener.Addr().String()
	tag, err := name.NewTag(address+"/"+repository, name.Insecure)
	if err != nil {
		t.Fatalf("parse the image's name: %v", err)
	}
	transport := &http.Transport{DialContext: lab.lab.Dial}
	auth := &authn.Basic{Username: "ali", Password: registryPassword}
	if err := remote.Write(tag, lab.image, remote.WithTransport(transport), remote.WithAuth(auth), remote.WithContext(t.Context())); err != nil {
		t.Fatalf("push the image: %v", err)
	}
	return address
}

// A mirror with credentials in registries.yaml is used from the moment that
// the file is there, without a restart.
func TestRegistryMirrorWithCredentials(t *testing.T) {
	s := ownServer(t, specNamed("registry"), "")
	s.start(t)
	address := startRegistry(t, "team/web:3")
	s.kubectl(t, "run", "web", "--image=docker.io/team/web:3", "--labels=app=web")
	hosts.Eventually(t, podUp, "the image cannot be pulled yet", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "pod", "web", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
		if err == nil && out != "ErrImagePull" && out != "ImagePullBackOff" {
			return fmt.Errorf("the container waits for %q", out)
		}
		return err
	})
	pid := s.run(t, "systemctl show -P MainPID kelp")
	stranger := strangerRegistry(t)
	for i, c := range []struct{ registries, image, want string }{
		{"", "docker.io/team/web:3", "the registry cannot be reached"},
		{registriesYAML(t, address, "guessed"), "docker.io/team/web:3", "the registry wants a name and a password"},
		{registriesYAML(t, address, registryPassword), "docker.io/team/web:4", "docker.io/team/web:4 is not in the registry"},
		{"mirrors: {docker.io: {endpoint: [" + stranger + "]}}\n", "docker.io/team/web:3", "the registry's certificate is not trusted"},
	} {
		pod := fmt.Sprintf("refused-%d", i)
		if c.registries != "" {
			s.write(t, "/etc/kelp/registries.yaml", c.registries)
		}
		s.kubectl(t, "run", pod, "--image="+c.image)
		s.awaitDiagnosis(t, podUp, "problem", "pods: pod default/"+pod+": container "+pod+" is not started: its image cannot be pulled", c.want)
	}

	s.write(t, "/etc/kelp/registries.yaml", registriesYAML(t, address, registryPassword))
	// A new pod, as the first one's next try may be minutes away.
	s.kubectl(t, "run", "web2", "--image=docker.io/team/web:3", "--labels=app=web2")
	s.awaitPod(t, "default", "app=web2", podUp)
	if now := s.run(t, "systemctl show -P MainPID kelp"); now != pid {
		t.Errorf("kelp was restarted: %s is now %s", pid, now)
	}
}

// strangerRegistry is the URL of one whose certificate nobody trusts.
func strangerRegistry(t *testing.T) string {
	t.Helper()
	listener, err := lab.lab.Listen(t.Context(), "tcp", hosts.Gateway+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(registry.New())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	_ = server.Listener.Close() // the one that it made by itself
	server.Listener = listener
	server.StartTLS()
	t.Cleanup(server.Close)
	return "https://" + listener.Addr().String()
}

func registriesYAML(t *testing.T, address, password string) string {
	t.Helper()
	if _, _, err := net.SplitHostPort(address); err != nil {
		t.Fatalf("the registry's address: %v", err)
	}
	return fmt.Sprintf(`mirrors:
  docker.io:
    endpoint: ["http://%[1]s"]
configs:
  "%[1]s":
    auth: {username: ali, password: %[2]s}
`, address, password)
}
