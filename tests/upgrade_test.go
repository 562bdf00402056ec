//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// A server is upgraded, and goes back when what it is upgraded to does not come up,
// whoever notices that. Its pods run on.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := bootUpgradable(t, "upgrade", "server", "")
	s.apply(t, fmt.Sprintf(pinned, s.Name, "default"))
	pod := s.awaitPodNamed(t, "default", "on-"+s.Name, podUp)
	now := s.version(t)
	same := func(t *testing.T, want string) {
		t.Helper()
		if got := s.version(t); got != want {
			t.Errorf("kelp %s runs, want %s", got, want)
		}
		after := s.awaitPodNamed(t, "default", pod.Name, soon)
		if identity(pod) != identity(after) {
			t.Errorf("the pod was %s, is %s", identity(pod), identity(after))
		}
	}
	t.Run("refused", func(t *testing.T) { refusedUpgrades(t, s); same(t, now) })
	t.Run("never ready", func(t *testing.T) { neverReady(t, s); same(t, now) })
	t.Run("ends at once", func(t *testing.T) { endsAtOnce(t, s); same(t, now) })
	t.Run("power loss", func(t *testing.T) {
		powerLoss(t, s, now)
		was := identity(pod) // the machine has booted
		hosts.Eventually(t, podUp, "the pod is back", func(context.Context) error {
			if pod = s.awaitPodNamed(t, "default", pod.Name, podUp); identity(pod) == was {
				return errors.New("it is as it was")
			}
			return nil
		})
	})
	t.Run("done", func(t *testing.T) { upgraded(t, s, now); same(t, nextVersion) })
	t.Run("rolled back", func(t *testing.T) { rolledBack(t, s, now); same(t, now) })
	t.Run("install.sh", func(t *testing.T) { installOver(t, s, same, now) })
}

// refusedUpgrades change nothing, restart nothing and leave no snapshot.
func refusedUpgrades(t *testing.T, s upgradable) {
	state := func() string {
		return s.run(t, "systemctl show -p MainPID kelp; stat -c '%n %i %s' /usr/local/bin/*; find "+dataDir+"/server/snapshots "+dataDir+"/upgrade -type f ! -name lock 2>/dev/null || true")
	}
	s.run(t, `mkdir /root/bad; cd /root/bad
echo text >text
cp /bin/true foreign; printf '\026\000' | dd of=foreign bs=1 seek=18 conv=notrunc status=none
cp /bin/true damaged; echo 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef >damaged.sha256
cp /bin/true tool`)
	before := state()
	for _, c := range []struct {
		want string
		args []string
	}{
		{"no such file", []string{"/root/none"}},
		{"takes one file or URL", nil},
		{"takes no file", []string{"--rollback", "/opt/kelp/next"}},
		{"there is no version to go back to", []string{"--rollback"}},
		{"is not a program for Linux", []string{"/root/bad/text"}},
		{"is for another architecture", []string{"/root/bad/foreign"}},
		{"and should have 0123456789abcdef", []string{"/root/bad/damaged"}},
		{"is not kelp", []string{"/root/bad/tool"}},
		{"upgrade to v1.38 first", []string{s.impostor(t, "v1.39.0", "v1.39.0")}},
		{"older than the", []string{s.impostor(t, "v1.36.0", "v1.36.0")}},
		{"would not start here: it has no such setting", []string{s.impostor(t, "v1.37.3", "v1.37.3", "rehearsal=it has no such setting")}},
	} {
		if r, _ := s.upgrade(t, c.args...); r.Code == 0 || !strings.Contains(r.Stderr, c.want) {
			t.Errorf("kelp upgrade %v: %+v, want %q", c.args, r, c.want)
		}
	}
	if r, _ := s.upgrade(t, "/opt/kelp/now"); r.Code != 0 || !strings.Contains(r.Stdout, "runs already: nothing to do") {
		t.Errorf("the same version: %+v", r)
	}
	if after := state(); after != before {
		t.Errorf("something has changed:\n%s\nbefore:\n%s", after, before)
	}
}

// neverReady has a program that hangs, and one that is given too little time, which it sees itself.
func neverReady(t *testing.T, s upgradable) {
	hangs := s.impostor(t, "v1.37.4", "v1.37.4", "hangs=/root/hung-4")
	for _, c := range []struct{ path, timeout, want string }{
		{hangs, "3s", "kelp v1.37.4 was given up: it was not ready after 3s"},
		{"/opt/kelp/next", "500ms", nextVersion + " was given up: it was not ready after 500ms"},
	} {
		r, took := s.upgrade(t, "--timeout="+c.timeout, c.path)
		if r.Code != 1 || !strings.Contains(r.Stderr, c.want) || !strings.Contains(r.Stderr, "runs again") {
			t.Errorf("%s: %+v, want %q", c.path, r, c.want)
		}
		t.Logf("%s: back after %s", c.path, took.Round(time.Millisecond))
	}
	if out := s.run(t, "kelp status"); !strings.Contains(out, "upgrade: to "+nextVersion+" FAILED") {
		t.Errorf("kelp status says\n%s", out)
	}
}

// endsAtOnce has a program that ends whenever it is started.
func endsAtOnce(t *testing.T, s upgradable) {
	r, took := s.upgrade(t, "-o", "json", s.impostor(t, "v1.37.5", "v1.37.5"))
	var o outcome
	if err := json.Unmarshal([]byte(r.Stdout), &o); err != nil || r.Code != 1 || o.Succeeded || o.To != "v1.37.5" || !strings.Contains(o.Reason, "did not become ready in 3 starts") {
		t.Errorf("%+v, %v", r, err)
	}
	if !strings.Contains(r.Stderr, "the impostor was started") {
		t.Errorf("its last words are not told: %s", r.Stderr)
	}
	t.Logf("back after %s", took.Round(time.Millisecond))
}

// powerLoss has the machine lose its power while a program that hangs is on trial.
func powerLoss(t *testing.T, s upgradable, now string) {
	const marker = "/root/hung-6"
	hangs := s.impostor(t, "v1.37.6", "v1.37.6", "hangs="+marker)
	s.run(t, "systemd-run --quiet --unit=upgrade --setenv=HOME=/root /usr/local/bin/kelp upgrade --timeout=10m "+hangs)
	hosts.Eventually(t, soon, "the new program is on trial", func(ctx context.Context) error {
		_, err := s.Run(ctx, "test", "-e", marker)
		return err
	})
	if err := s.PowerCycle(t.Context()); err != nil {
		t.Fatal(err)
	}
	hosts.Eventually(t, ready, "the old version runs again", func(ctx context.Context) error {
		out, err := s.Run(ctx, "kelp", "status")
		if err == nil && !strings.Contains(out, "upgrade: to v1.37.6 FAILED") {
			err = errors.New(out)
		}
		return err
	})
	if got := s.version(t); got != now {
		t.Errorf("kelp %s runs, want %s", got, now)
	}
	if out := s.run(t, "ls /usr/local/bin"); strings.Contains(out, "next") {
		t.Errorf("the program is still there: %s", out)
	}
}

// upgraded goes to the next version, from a web server.
func upgraded(t *testing.T, s upgradable, now string) {
	s.restarts(t, "")
	next, err := stamped()
	if err != nil {
		t.Fatal(err)
	}
	url := serveProgram(t, next)
	if r, _ := s.upgrade(t, url+"/unsure/"); r.Code == 0 || !strings.Contains(r.Stderr, "there is no checksum of") {
		t.Errorf("without a checksum: %+v", r)
	}
	r, took := s.upgrade(t, url)
	if r.Code != 0 || !strings.Contains(r.Stdout, "kelp "+nextVersion+" runs, and is ready") {
		t.Fatalf("%+v", r)
	}
	t.Logf("upgraded in %s:\n%s", took.Round(time.Millisecond), r.Stdout)
	list, err := s.snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if last := list[len(list)-1]; last.Reason != "before-upgrade" || !last.Pinned || last.Problem != "" {
		t.Errorf("the last snapshot is %+v", last)
	}
	if out := s.run(t, "kelp --version | head -n 1; kelp.previous --version | head -n 1; kelp status | grep ^upgrade:"); !strings.HasPrefix(out, "kelp "+nextVersion+"\nkelp "+now+"\nupgrade: from "+now) {
		t.Error(out)
	}
	if r, _ := s.upgrade(t, url); r.Code != 0 || !strings.Contains(r.Stdout, "nothing to do") {
		t.Errorf("a second time: %+v", r)
	}
}

// rolledBack goes back to the version before, with a kelp that is no service: it
// does so in its own process.
func rolledBack(t *testing.T, s upgradable, now string) {
	s.stopKelp(t)
	pid := "pgrep -xo -f 'kelp server'"
	s.run(t, "setsid -f kelp server >/root/kelp.log 2>&1; until test -S /run/kelp/kelp.sock; do sleep 0.1; done")
	s.version(t)
	before := s.run(t, pid)
	r, took := s.upgrade(t, "--rollback")
	if r.Code != 0 || !strings.Contains(r.Stdout, now+" runs, and is ready") {
		t.Errorf("rolled back in %s: %+v\n%s", took, r, s.run(t, "tail -n 30 /root/kelp.log"))
	}
	if after := s.run(t, pid); after != before {
		t.Errorf("it was process %s, and is %s", before, after)
	}
	s.run(t, "kill "+before+"; while kill -0 "+before+" 2>/dev/null; do sleep 0.1; done")
	s.start(t)
}

// installOver has install.sh come upon a kelp that runs.
func installOver(t *testing.T, s upgradable, same func(*testing.T, string), now string) {
	script, err := os.ReadFile("../install.sh")
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "/root/install.sh", string(script))
	unit := s.run(t, "cat /etc/systemd/system/kelp.service")
	r, err := s.Exec(t.Context(), "", "sh", "-c", "INSTALL_KELP_TIMEOUT=1 INSTALL_KELP_BIN=/opt/kelp/next sh /root/install.sh")
	if err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "was given up: it was not ready after 1s") || !strings.Contains(r.Stderr, "nothing was changed") {
		t.Errorf("a version that does not come up: %+v, %v", r, err)
	}
	if after := s.run(t, "cat /etc/systemd/system/kelp.service; ls -A /usr/local/bin | grep new || true"); after != unit {
		t.Errorf("it was changed all the same: %s", after)
	}
	same(t, now)
	out := s.run(t, "INSTALL_KELP_BIN=/opt/kelp/next sh /root/install.sh 2>&1")
	if !strings.Contains(out, "kelp "+nextVersion+" runs, and is ready") || !strings.Contains(out, "kelp "+nextVersion+" is ready, as server upgrade") {
		t.Error(out)
	}
	same(t, nextVersion)
}
