package preflight

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/kine"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
	"github.com/kelp-project/kelp/pkg/version"
)

// Role is what the machine is to be.
type Role string

// The roles. A server is an agent, too, unless that is disabled.
const (
	Server Role = "server"
	Agent  Role = "agent"
)

// Run checks the host before kelp server changes anything. The error holds
// all that keeps kelp from running; the report's warnings are the caller's to
// log.
func Run(cfg config.Config, role Role) (Report, error) {
	r := look(cfg, role)
	if r.Holder != 0 {
		// Ports that are taken and the like follow from this.
		return r, running(cfg, r.Holder)
	}
	return r, r.Err()
}

// Beside checks the host for a kelp that is to take the place of the one that runs
// on the same data directory. The error holds all that would keep it from running.
func Beside(cfg config.Config, role Role) error { return look(cfg, role).Err() }

func running(cfg config.Config, pid int) error {
	who := "as another process"
	if pid > 0 {
		who = fmt.Sprintf("as process %d", pid)
	}
	return fmt.Errorf("kelp is running already on %s, %s: stop it first, or see kelp status", cfg.DataDir, who)
}

// Look checks the host and tells all that it finds: also what package node
// finds out by itself at a start, and what takes longer than a start may, as
// the speed of the disk. What a running kelp on the same data directory uses is
// not held against the host.
func Look(cfg config.Config, role Role) Report {
	r := look(cfg, role)
	if os.Geteuid() != 0 {
		return r
	}
	add := func(found ...Finding) { r.Findings = append(r.Findings, found...) }
	if !cfg.Components.DisableAgent {
		add(checkPackets(observePackets())...)
		add(checkBuild(observeBuild("/"))...)
		add(checkSecurity(cfg, observeSecurity("/"))...)
	}
	software := observeSoftware("/proc", "/etc")
	add(checkSoftware(cfg, software)...)
	dir := waitedFor(cfg, role)
	if d, err := observeDisk(dir); err == nil && d.Usable() && !d.ReadOnly && d.Free > minFree {
		add(checkSyncs(dir, observeSyncs(d.Path))...)
	}
	return r
}

func look(cfg config.Config, role Role) Report {
	if os.Geteuid() != 0 {
		// Nothing else can be seen rightly.
		return Report{Findings: []Finding{failure("root", "kelp must run as root, for it makes containers and networks", "use sudo")}}
	}
	var r Report
	add := func(found ...Finding) { r.Findings = append(r.Findings, found...) }
	add(good("root", "running as root"))

	holder, err := holderOf(cfg.DataDir)
	if err != nil {
		add(failure("lock", err.Error(), "see whether "+cfg.DataDir+" is on a local file system"))
	}
	r.Holder = holder

	d, err := observeDisk(cfg.DataDir)
	add(checkDisk(cfg, d, err)...)
	if !d.Usable() {
		return r // what is below it cannot be read
	}
	add(checkVersion(cfg.Paths().VersionFile, Stamp{Version: version.Version, Kubernetes: version.KubernetesVersion})...)
	if role == Server {
		add(checkDatabase(cfg)...)
		add(checkClockSet(time.Now(), version.Made())...)
		add(checkCertificates(cfg, time.Now())...)
		if err := token.Check(cfg); err != nil {
			add(failure("token", err.Error(), ""))
		}
	}
	wanted := ports(cfg, role)
	listeners, err := observeListeners("/proc", func(l Listener) bool { return slices.ContainsFunc(wanted, l.clashes) })
	add(checkPorts(wanted, listeners, err, r.Holder)...)
	add(checkMachine(observeMachine("/proc"), role)...)
	if !cfg.Components.DisableAgent {
		if r.Holder == 0 {
			add(checkSocket(cfg, answers(cfg.Paths().ContainerdSocket))...)
		}
		add(checkDamaged(cfg.Paths().ContainerdDamaged)...)
		add(checkKernel(cfg, observeKernel(cfg.Network.Backend))...)
		add(checkCgroups(observeCgroups("/proc", "/sys/fs/cgroup"))...)
	}
	return r
}

// checkDamaged finds what containerd has set aside, which takes room until somebody has
// looked at it.
func checkDamaged(dir string) []Finding {
	if _, err := os.Stat(dir); err != nil {
		return nil // there is none, as a rule
	}
	return []Finding{warning("containerd", "its data was damaged, by a loss of power or by the disk, and has been made anew: what was there is in "+dir,
		"see to the disk; rm -r "+dir+" when nothing of it is wanted")}
}

// checkDatabase looks at SQLite's file where it is in use.
func checkDatabase(cfg config.Config) []Finding {
	if datastore.Kind(cfg) != config.DatastoreSQLite {
		return nil
	}
	file := cfg.Paths().SQLiteFile
	if err := kine.Intact(file); err != nil {
		fix := ""
		var hinting interface{ Hint() string }
		if errors.As(err, &hinting) {
			fix = hinting.Hint()
		}
		return []Finding{failure("database", err.Error(), fix)}
	}
	return []Finding{good("database", file+" is new or whole")}
}

// tooEarly is how far a clock may be before kelp's own making: as far as the clock
// of whoever made it may have been ahead.
const tooEarly = 24 * time.Hour

// checkClockSet finds a clock that nobody has set yet, as on a machine that has none
// of its own while the power is off. Authorities that are made by it have ended when
// it is set, and with them the cluster. Made is zero where it is not known.
func checkClockSet(now, made time.Time) []Finding {
	if now.After(made.Add(-tooEarly)) {
		return nil
	}
	return []Finding{failure("clock", fmt.Sprintf("the clock says %s, and this kelp was made on %s: certificates would have ended when it is set", now.UTC().Format(time.DateOnly), made.UTC().Format(time.DateOnly)),
		"set the clock, or wait until chrony or systemd-timesyncd has: the unit starts kelp again by itself")}
}

// checkCertificates finds what would keep certificates from being issued:
// authorities that cannot be read, or that a wrong clock takes for unborn.
func checkCertificates(cfg config.Config, now time.Time) []Finding {
	table := pki.Table(cfg)
	found, err := pki.Read(table)
	if err == nil {
		_, err = pki.Plan(table, found, now)
	}
	if err != nil {
		return []Finding{failure("certificates", err.Error(), "")}
	}
	return []Finding{good("certificates", "the clock and the authorities agree")}
}
