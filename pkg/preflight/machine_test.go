package preflight

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/config"
)

func TestCheckMachine(t *testing.T) {
	t.Parallel()
	fine := Machine{CPUs: 2, Memory: 4 << 30, Instances: 512, Watches: 1 << 20, Synced: true}
	with := func(change func(*Machine)) Machine { m := fine; change(&m); return m }
	for name, c := range map[string]struct {
		machine Machine
		role    Role
		warns   string
	}{
		"fine":                   {machine: fine, role: Server},
		"small for a server":     {machine: with(func(m *Machine) { m.Memory = 700 << 20 }), role: Server, warns: "700 MB of memory, 2 cpus, and kelp server should have 1024 MB: give it more memory, or leave components out with --disable"},
		"enough for an agent":    {machine: with(func(m *Machine) { m.Memory = 700 << 20 }), role: Agent},
		"sold as one gigabyte":   {machine: with(func(m *Machine) { m.Memory = 970 << 20 }), role: Server},
		"memory cannot be seen":  {machine: with(func(m *Machine) { m.Memory = 0 }), role: Server},
		"swap":                   {machine: with(func(m *Machine) { m.Swap = 2 << 30 }), role: Server},
		"few instances":          {machine: with(func(m *Machine) { m.Instances = 128 }), role: Server, warns: "a user may have 128 instances and watch 1048576 files: pods that watch files may fail with \"too many open files\": sysctl -w fs.inotify.max_user_instances=512, and the same in /etc/sysctl.d/90-kelp.conf"},
		"few watches":            {machine: with(func(m *Machine) { m.Watches = 8192 }), role: Server, warns: "fs.inotify.max_user_watches=131072"},
		"limits cannot be seen":  {machine: with(func(m *Machine) { m.Instances, m.Watches = 0, 0 }), role: Server},
		"a clock alone":          {machine: with(func(m *Machine) { m.Synced = false }), role: Agent, warns: "nothing keeps the clock right"},
		"a clock out of bounds":  {machine: with(func(m *Machine) { m.Synced, m.ClockErr = false, unix.EPERM }), role: Agent},
		"several things at once": {machine: with(func(m *Machine) { m.Synced, m.Instances = false, 128 }), role: Agent, warns: "\nnothing keeps the clock right"},
	} {
		found := checkMachine(c.machine, c.role)
		if got := texts(found, Warning); !strings.Contains(got, c.warns) || (c.warns == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", name, got, c.warns)
		}
		if texts(found, Error) != "" {
			t.Errorf("%s: refused: %+v", name, found)
		}
	}
}

func TestObserveMachine(t *testing.T) {
	t.Parallel()
	m := observeMachine("/proc")
	if m.CPUs < 1 || m.Memory < 64<<20 || m.Instances == 0 || m.Watches == 0 {
		t.Errorf("this machine is seen as %+v", m)
	}
	if got := memory("MemTotal:       24567 kB\nSwapTotal:   12 kB\n", "SwapTotal"); got != 12<<10 {
		t.Errorf("got %d", got)
	}
}

func TestCheckSecurity(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	for want, s := range map[string]Security{
		"neither SELinux nor AppArmor stands in the way":                 {},
		"SELinux is enforcing, and containers get no labels":             {SELinux: true, AppArmor: true},
		"AppArmor is on and has no apparmor_parser":                      {AppArmor: true},
		"AppArmor is on, and containers get its default profile":         {AppArmor: true, Parser: true},
		"no apparmor_parser: containers run without its profile: instal": {AppArmor: true},
	} {
		found := checkSecurity(cfg, s)
		if got := texts(found, Warning) + texts(found, Good); !strings.Contains(got, want) {
			t.Errorf("%+v: got %q, want %q", s, got, want)
		}
	}
	root := t.TempDir()
	for path, text := range map[string]string{"sys/fs/selinux/enforce": "1", "sys/module/apparmor/parameters/enabled": "Y\n", "usr/sbin/apparmor_parser": ""} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if got := observeSecurity(root); got != (Security{SELinux: true, AppArmor: true, Parser: true}) {
		t.Errorf("got %+v", got)
	}
}

func TestCheckSyncs(t *testing.T) {
	t.Parallel()
	with := func(slow int) Syncs {
		var s Syncs
		for i := range 60 {
			took := time.Millisecond
			if i < slow {
				took = 25 * time.Millisecond
			}
			s.Took = append(s.Took, took)
		}
		return s
	}
	for name, c := range map[string]struct {
		syncs Syncs
		level Level
		want  string
	}{
		"fast":            {with(0), Good, "safe after 1ms, and 95 of 100 are after 1ms"},
		"one was delayed": {with(2), Good, "after 1ms"},
		"slow":            {with(6), Warning, "disk of /db is safe after 1ms, and 95 of 100 are after 25ms; the datastore needs 10ms: use an SSD"},
		"one only, slow":  {Syncs{Took: []time.Duration{2 * time.Second}}, Warning, "safe after 2s"},
		"broken":          {Syncs{Err: unix.EIO}, Warning, "cannot be measured: input/output error"},
		"hangs":           {Syncs{Err: errStalled}, Error, "a write to the disk of /db is not safe after 5s: the disk hangs"},
	} {
		found := checkSyncs("/db", c.syncs)
		if got := texts(found, c.level); !strings.Contains(got, c.want) || len(found) != 1 {
			t.Errorf("%s: got %+v, want %s: %s", name, found, c.level, c.want)
		}
	}
	if found := checkSyncs("/db", Syncs{Err: os.NewSyscallError("open", unix.EOPNOTSUPP)}); len(found) != 0 {
		t.Errorf("where it cannot be measured: %+v", found)
	}
}

// The disk that is measured is the datastore's, which may be another than the rest's.
func TestTheDiskOfTheDatastoreIsWaitedFor(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir = "/data"
	for kind, want := range map[config.DatastoreKind]string{
		config.DatastoreSQLite: "/data/server/db/sqlite", config.DatastoreEtcd: "/data/server/db/etcd", config.DatastoreExternal: "/data",
	} {
		cfg.Datastore.Kind = kind
		if got := waitedFor(cfg, Server); got != want {
			t.Errorf("with %s it is %s, want %s", kind, got, want)
		}
		if got := waitedFor(cfg, Agent); got != "/data" {
			t.Errorf("of an agent it is %s", got)
		}
	}
}

func TestObserveSyncsLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Now()
	s := observeSyncs(dir)
	if s.Err != nil && !errors.Is(s.Err, unix.EOPNOTSUPP) || s.Err == nil && len(s.Took) == 0 {
		t.Errorf("got %+v", s)
	}
	if took := time.Since(began); took > 10*fsyncLimit {
		t.Errorf("it took %s", took)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if s := observeSyncs(filepath.Join(dir, "missing")); !errors.Is(s.Err, unix.ENOENT) {
		t.Errorf("got %+v", s)
	}
}

// A disk that takes a write and does not come back is told of, and not waited for.
func TestADiskThatHangs(t *testing.T) {
	t.Parallel()
	comesBack, ended := make(chan struct{}), make(chan struct{})
	s := timeSyncs(func() error { <-comesBack; return unix.EIO }, func() { close(ended) }, time.Millisecond)
	if !errors.Is(s.Err, errStalled) {
		t.Errorf("got %+v", s)
	}
	close(comesBack)
	<-ended
}

func TestCheckBuild(t *testing.T) {
	t.Parallel()
	all := func(but ...string) Build {
		b := Build{Release: "6.1.0-13-amd64", Options: map[string]string{}, Source: "/proc/config.gz"}
		for _, o := range wanted {
			b.Options[o.name] = "y"
		}
		for _, name := range but {
			delete(b.Options, name)
		}
		return b
	}
	for name, c := range map[string]struct {
		build         Build
		warns, errors string
	}{
		"whole":         {build: all()},
		"no list":       {build: Build{Release: "6.1.0"}},
		"old":           {build: Build{Release: "4.19.0-25-cloud"}, warns: "Linux 4.19.0-25-cloud is older than 5.13"},
		"no limits":     {build: all("CFS_BANDWIDTH"), warns: "without CONFIG_CFS_BANDWIDTH (/proc/config.gz): there are no limits of CPU"},
		"no containers": {build: all("PID_NS"), errors: "without CONFIG_PID_NS (/proc/config.gz): there are no containers"},
	} {
		found := checkBuild(c.build)
		if got := texts(found, Warning); !strings.Contains(got, c.warns) || (c.warns == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", name, got, c.warns)
		}
		if got := texts(found, Error); !strings.Contains(got, c.errors) || (c.errors == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", name, got, c.errors)
		}
	}
}

func TestReadOptions(t *testing.T) {
	t.Parallel()
	const list = "# CONFIG_KEYS is not set\nCONFIG_PID_NS=y\nCONFIG_NF_NAT=m\n"
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(list)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"config": []byte(list), "config.gz": packed.Bytes()} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		options, err := readOptions(path)
		if err != nil || options["PID_NS"] != "y" || options["NF_NAT"] != "m" || options["KEYS"] != "" {
			t.Errorf("%s: %v, %v", name, options, err)
		}
	}
}

func TestCheckSoftware(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	for name, c := range map[string]struct {
		software      Software
		warns, errors string
	}{
		"nothing":   {},
		"k3s":       {software: Software{Processes: []Process{{9, "k3s-server"}, {10, "k3s-server"}}}, errors: "k3s runs here (process 9): two of a kind fight over ports, /var/lib/kubelet and the network: k3s-killall.sh, then k3s-uninstall.sh"},
		"two":       {software: Software{Processes: []Process{{9, "k0s"}, {10, "kubelet"}}}, errors: "k0s reset\na kubelet runs here"},
		"firewalld": {software: Software{Processes: []Process{{9, "firewalld"}}}, warns: "firewalld is active, and may drop packets of pods and of other nodes: trust 10.42.0.0/16 and 10.43.0.0/16"},
		"ufw":       {software: Software{UFW: true}, warns: "6443/tcp, 10250/tcp, 8472/udp from the other nodes; or ufw disable"},
	} {
		found := checkSoftware(cfg, c.software)
		if got := texts(found, Warning); !strings.Contains(got, c.warns) || (c.warns == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", name, got, c.warns)
		}
		if got := texts(found, Error); !strings.Contains(got, c.errors) || (c.errors == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", name, got, c.errors)
		}
	}
	if got := texts(checkSocket(cfg, true), Error); !strings.Contains(got, "/run/kelp/containerd/containerd.sock") {
		t.Errorf("got %q", got)
	}
}

func TestObserveSoftware(t *testing.T) {
	t.Parallel()
	proc, etc := t.TempDir(), t.TempDir()
	add := func(pid, name, namespace string) {
		dir := filepath.Join(proc, pid)
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "ns"), 0o755), os.Symlink(namespace, filepath.Join(dir, "ns", "net"))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "comm"), []byte(name+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	add("self", "kelp", "net:[1]")
	add("7", "k3s-server", "net:[1]")
	add("8", "kubelet", "net:[2]") // in a container
	add("9", "bash", "net:[1]")
	if err := errors.Join(os.MkdirAll(filepath.Join(etc, "ufw"), 0o755), os.WriteFile(filepath.Join(etc, "ufw", "ufw.conf"), []byte("# ENABLED=no?\nENABLED=yes\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	s := observeSoftware(proc, etc)
	if len(s.Processes) != 1 || s.Processes[0] != (Process{7, "k3s-server"}) || !s.UFW {
		t.Errorf("got %+v", s)
	}
}

func TestWhoAnswersOnASocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	if answers(socket) {
		t.Error("a socket that is not there answers")
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !answers(socket) {
		t.Error("a socket that is listened on does not answer")
	}
}

func TestLookChangesNothing(t *testing.T) {
	t.Parallel()
	cfg := dataDir(t)
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	report := Look(cfg, Server)
	for _, check := range []string{"disk speed", "time", "swap", "inotify", "memory and cpus", "other software", "firewall", "security modules"} {
		if os.Geteuid() == 0 && !strings.Contains(checks(report), check+"\n") && check != "time" && check != "disk speed" {
			t.Errorf("nothing is said of %s: %+v", check, report.Findings)
		}
	}
	if left, err := os.ReadDir(cfg.DataDir); err != nil || len(left) != 0 {
		t.Errorf("the data directory was changed: %v, %v", left, err)
	}
}

func checks(r Report) string {
	var names strings.Builder
	for _, f := range r.Findings {
		names.WriteString(f.Check + "\n")
	}
	return names.String()
}
