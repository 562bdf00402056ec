package upgrade

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/trial"
	"github.com/kelp-project/kelp/pkg/version"
)

// TestMain lets the test's own program stand in for a kelp, when it is run by the
// name of a candidate: what it says it is stands in a file beside it.
func TestMain(m *testing.M) {
	if strings.HasSuffix(os.Args[0], ".next") && len(os.Args) == 2 {
		says, err := os.ReadFile(filepath.Join(filepath.Dir(os.Args[0]), "says"))
		if err != nil {
			os.Exit(1)
		}
		fmt.Print(string(says))
		os.Exit(0)
	}
	version.KubernetesVersion = "v1.37.2"
	os.Exit(m.Run())
}

// host is a machine with a program, and places to get another one from.
type host struct {
	*Upgrade
	t                 *testing.T
	dir, shop, anyone string
}

func newHost(t *testing.T) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{t: t, dir: filepath.Join(dir, "bin"), shop: filepath.Join(dir, "shop")}
	cfg := config.Default()
	cfg.DataDir = filepath.Join(dir, "data")
	h.write(filepath.Join(h.dir, "kelp"), []byte("old"))
	h.write(filepath.Join(cfg.DataDir, "some"), nil)
	web := httptest.NewServer(http.FileServer(http.Dir(h.shop)))
	t.Cleanup(web.Close)
	h.anyone = web.URL
	h.Upgrade = &Upgrade{
		Config: cfg, Tell: func(string) {},
		Running: Running{PID: os.Getpid(), Version: "v1.37.2+kelp1", Role: "server", Program: filepath.Join(h.dir, "kelp")},
		members: func(context.Context) ([]Member, error) { return nil, nil },
	}
	return h
}

func (h *host) write(path string, text []byte) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// offer puts a program into the shop, with its checksum.
func (h *host) offer(name string, text []byte) string {
	h.t.Helper()
	path := filepath.Join(h.shop, name)
	h.write(path, text)
	sum := sha256.Sum256(text)
	h.write(path+".sha256", []byte(hex.EncodeToString(sum[:])+"  "+filepath.Base(name)+"\n"))
	return path
}

// standIn is this test's program.
func (h *host) standIn(says string) []byte {
	h.t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		h.t.Fatal(err)
	}
	h.write(filepath.Join(h.dir, "says"), []byte(says))
	return self
}

// elfFor is the header of a program for a machine.
func elfFor(machine elf.Machine) []byte {
	header := make([]byte, 64)
	copy(header, "\x7fELF\x02\x01\x01")
	header[16], header[18], header[20], header[52], header[54], header[58] = 2, byte(machine), 1, 64, 56, 64
	return header
}

// TestRefusedWithNothingChanged, whatever is the matter with the program.
func TestRefusedWithNothingChanged(t *testing.T) {
	t.Parallel()
	for want, given := range map[string]func(*host) Request{
		"no such file":              func(h *host) Request { return Request{Source: "/none/kelp"} },
		"is not a file":             func(h *host) Request { return Request{Source: h.dir} },
		"no address that a program": func(*host) Request { return Request{Source: "ftp://192.0.2.1/"} },
		"file does not exist": func(h *host) Request {
			h.offer("other/kelp-riscv64", nil)
			return Request{Source: h.anyone + "/other/kelp-sparc", SHA256: strings.Repeat("0", 64)}
		},
		"there is no checksum of": func(h *host) Request {
			h.write(h.shop+"/kelp-x", []byte("x"))
			return Request{Source: h.anyone + "/kelp-x"}
		},
		"holds no SHA-256 checksum of": func(h *host) Request {
			h.offer("kelp-x", nil)
			h.write(h.shop+"/kelp-x.sha256", []byte("<html>"))
			return Request{Source: h.anyone + "/kelp-x"}
		},
		"is no SHA-256 checksum": func(h *host) Request { return Request{Source: h.offer("kelp", nil), SHA256: "abc"} },
		"and should have": func(h *host) Request {
			return Request{Source: h.offer("kelp", []byte("x")), SHA256: strings.Repeat("0", 64)}
		},
		"is not a program for Linux": func(h *host) Request { return Request{Source: h.offer("kelp", []byte("#!/bin/sh\n"))} },
		"for another architecture":   func(h *host) Request { return Request{Source: h.offer("kelp", elfFor(elf.EM_S390))} },
		"does not say which version": func(h *host) Request { return Request{Source: h.offer("kelp", elfFor(machines["amd64"]))} },
		"the program's signature":    func(h *host) Request { return Request{Source: h.offer("kelp", []byte("x")), PublicKey: "/none"} },
		"is not kelp":                func(h *host) Request { return Request{Source: h.offer("kelp", h.standIn("tool 1.0\n"))} },
		"runs already: nothing to do": func(h *host) Request {
			return Request{Source: h.offer("kelp", h.standIn("kelp v1.37.2+kelp1\nkubernetes v1.37.2\n"))}
		},
		"one minor release at a time": func(h *host) Request {
			return Request{Source: h.offer("kelp", h.standIn("kelp v1.99.0\nkubernetes v1.99.0\n"))}
		},
		"and v1.37.8 is asked for": func(h *host) Request {
			return Request{Version: "v1.37.8", Source: h.offer("kelp", h.standIn("kelp v1.37.9\nkubernetes v1.37.9\n"))}
		},
		"cannot be asked": func(h *host) Request {
			h.members = func(context.Context) ([]Member, error) { return nil, errors.New("the cluster cannot be asked") }
			return Request{Source: h.offer("kelp", h.standIn("kelp v1.37.9\nkubernetes v1.37.9\n"))}
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			request := given(h)
			before, err := os.ReadDir(h.dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Prepare(t.Context(), request); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
			after, err := os.ReadDir(h.dir)
			if err != nil || len(after) != len(before) {
				t.Errorf("there are now %v, %v", after, err)
			}
			if text, err := os.ReadFile(h.Running.Program); string(text) != "old" {
				t.Errorf("the program is %q, %v", text, err)
			}
			if r, there, err := h.store().Read(); there || err != nil {
				t.Errorf("it is on trial: %+v, %v", r, err)
			}
		})
	}
}

// TestTheProgramIsFetchedFromADirectory with its checksum among others.
func TestTheProgramIsFetchedFromADirectory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	text := []byte("a program")
	sum := sha256.Sum256(text)
	h.write(filepath.Join(h.shop, "kelp-amd64"), text)
	h.write(filepath.Join(h.shop, sumsName), []byte(strings.Repeat("0", 64)+"  kelp-arm64\n"+hex.EncodeToString(sum[:])+"  kelp-amd64\n"))
	s, err := parseSource(h.anyone, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	candidate := trial.Candidate(h.Running.Program)
	h.Client = http.DefaultClient
	if _, err := h.fetch(t.Context(), s, Request{}, candidate); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(candidate); string(got) != string(text) {
		t.Errorf("it is %q, %v", got, err)
	}
}

// TestACutDownloadIsNoProgram, though there is no checksum to tell.
func TestACutDownloadIsNoProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kelp.next")
	if _, err := copyTo(path, strings.NewReader("half"), 8); err == nil || !strings.Contains(err.Error(), "4 bytes came of 8") {
		t.Error(err)
	}
}

func TestNoUpgradeWhileOneIsOnTrial(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := h.store().Begin(trial.Record{ID: "x", To: "v1.37.9", Began: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Prepare(t.Context(), Request{Source: h.offer("kelp", nil)}); err == nil || !strings.Contains(err.Error(), "v1.37.9 is on trial since") {
		t.Error(err)
	}
}

func TestTwoUpgradesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	unlock, err := h.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Prepare(t.Context(), Request{Source: h.offer("kelp", nil)}); err == nil || !strings.Contains(err.Error(), "is under way") {
		t.Error(err)
	}
	unlock()
	if unlock, err = h.lock(); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestReasonIsWhatTheProgramSays(t *testing.T) {
	t.Parallel()
	failed := errors.New("exit status 1")
	for text, want := range map[string]string{
		"noise\nerror: no such key\n       at line 3\n": "no such key\n       at line 3",
		"1\n2\n3\n4\n5\n6\n":                            "exit status 1: 2\n3\n4\n5\n6",
		"":                                              "exit status 1",
	} {
		if got := reason([]byte(text), failed).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRehearsalComesAsItWasGiven(t *testing.T) {
	t.Parallel()
	r, err := ParseRehearsal([]byte("/s.zst\x00server\x00--node-label=a b\x00--debug"))
	if err != nil || r.Snapshot != "/s.zst" || r.Role != "server" || strings.Join(r.Args, "|") != "--node-label=a b|--debug" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := ParseRehearsal(nil); err == nil {
		t.Error("nothing is taken for a rehearsal")
	}
}
