//go:build e2e

package tests

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// nextVersion is what the tests upgrade to: the same tree, under another name.
const nextVersion = "v1.37.2+kelp.next"

// stamped builds it, once.
var stamped = sync.OnceValues(func() (string, error) {
	build := exec.Command("scripts/build")
	build.Dir = ".."
	build.Env = append(os.Environ(), "STAMP="+nextVersion)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build another version: %w\n%s", err, out)
	}
	return filepath.Abs("../.build/stamped/kelp")
})

// upgradable is a server whose program can be replaced.
type upgradable struct {
	*server
	programs string // a directory that is /opt/impostors on it
}

// impostor builds a program that says it is a kelp, and returns where it is on the host.
func (u upgradable) impostor(t *testing.T, version, kubernetes string, stamps ...string) string {
	t.Helper()
	ldflags := fmt.Sprintf("-s -w -X 'main.says=kelp %s\ncommit none\nkubernetes %s\n'", version, kubernetes)
	for _, s := range stamps {
		ldflags += " -X 'main." + s + "'"
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags="+ldflags, "-o", filepath.Join(u.programs, version), "./impostor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build an impostor: %v\n%s", err, out)
	}
	return "/opt/impostors/" + version
}

// outcome is what kelp upgrade -o json prints.
type outcome struct {
	From, To, Reason, Snapshot string
	Succeeded                  bool
}

// bootUpgradable boots such a host, with the programs of upgrades in /opt/kelp, and
// starts kelp.
func bootUpgradable(t *testing.T, name, command, config string) upgradable {
	t.Helper()
	next, err := stamped()
	if err != nil {
		t.Fatal(err)
	}
	u := upgradable{programs: t.TempDir()}
	spec := specNamed(name)
	spec.Bind = map[string]string{"/opt/kelp/now": lab.binary, "/opt/kelp/next": next, "/opt/impostors": u.programs}
	h, err := lab.lab.Boot(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	u.server = &server{h}
	u.stopAfter(t)
	u.run(t, "cp /opt/kelp/now /usr/local/bin/kelp")
	if err := h.InstallKelp(t.Context(), command, config); err != nil {
		t.Fatal(err)
	}
	if err := u.CopyIn(t.Context(), lab.archive, imagesDir+"/web.tar"); err != nil {
		t.Fatal(err)
	}
	u.restarts(t, "RestartSec=100ms\n")
	u.run(t, "systemctl enable -q kelp")
	u.start(t)
	return u
}

// restarts has systemd start kelp again whenever it ends, as packaged, with other
// settings beside that.
func (u upgradable) restarts(t *testing.T, settings string) {
	t.Helper()
	u.write(t, "/etc/systemd/system/kelp.service.d/test.conf", "[Service]\nRestart=always\n"+settings)
	u.run(t, "systemctl daemon-reload")
}

// version is what runs.
func (s *server) version(t *testing.T) string {
	t.Helper()
	var st struct{ Version string }
	if err := json.Unmarshal([]byte(s.run(t, "kelp status --wait -o json")), &st); err != nil {
		t.Fatal(err)
	}
	return st.Version
}

// upgrade runs kelp upgrade.
func (s *server) upgrade(t *testing.T, args ...string) (hosts.Result, time.Duration) {
	t.Helper()
	began := time.Now()
	r, err := s.Exec(t.Context(), "", append([]string{"kelp", "upgrade"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return r, time.Since(began)
}

// serveProgram serves a kelp as make dist makes it, and without a checksum.
func serveProgram(t *testing.T, path string) string {
	t.Helper()
	sum, err := exec.CommandContext(t.Context(), "sha256sum", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	name := "/kelp-" + runtime.GOARCH
	mux := http.NewServeMux()
	program := func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }
	mux.HandleFunc(name, program)
	mux.HandleFunc("/unsure"+name, program)
	mux.HandleFunc(name+".sha256", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, strings.Fields(string(sum))[0], "", filepath.Base(name))
	})
	listener, err := lab.lab.Listen(t.Context(), "tcp", hosts.Gateway+":0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	t.Cleanup(func() { _ = web.Close(); <-served })
	return "http://" + listener.Addr().String()
}
