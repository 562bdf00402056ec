//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// database is a datastore that kelp does not run, on a host of its own.
type database struct {
	// start is a script for the host; its certificates are in /etc/db, and
	// $ADDRESS is its address.
	start string
	// config is kelp's; %s is the address.
	config string
	// unit is stopped for a while, and goes on.
	unit string
}

const dbPassword = "a-password-that-is-in-no-log"

// certify makes an authority in /etc/db, and a certificate of it for servers and
// clients.
const certify = `
mkdir -p /etc/db; cd /etc/db
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=db-ca -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kelp -keyout db.key -out db.csr 2>/dev/null
printf 'subjectAltName=IP:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$ADDRESS" >ext
openssl x509 -req -in db.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out db.crt 2>/dev/null
chmod 644 ca.crt db.crt
`

// databases are those that guides and peers name.
var databases = map[string]database{
	"etcd": {
		start: `systemd-run -q --unit=db /usr/local/bin/etcd --name=db --data-dir=/var/tmp/etcd --client-cert-auth --trusted-ca-file=/etc/db/ca.crt --cert-file=/etc/db/db.crt --key-file=/etc/db/db.key \
			--listen-client-urls=https://$ADDRESS:2379 --advertise-client-urls=https://$ADDRESS:2379`,
		config: "datastore: {endpoint: 'https://%s:2379', caFile: /etc/db/ca.crt, certFile: /etc/db/db.crt, keyFile: /etc/db/db.key}\n",
	},
	"postgres": {
		start: `bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1); mkdir -p /var/tmp/pg; chown postgres /var/tmp/pg /etc/db/db.key; chmod 600 /etc/db/db.key; echo ` + dbPassword + ` >/etc/db/password
			chmod 644 /etc/db/password
			setpriv --reuid=postgres --regid=postgres --clear-groups $bin/initdb -D /var/tmp/pg -U kelp --auth=scram-sha-256 --pwfile=/etc/db/password >/dev/null
			echo "hostssl all all 0.0.0.0/0 scram-sha-256" >>/var/tmp/pg/pg_hba.conf
			systemd-run -q --unit=db --uid=postgres $bin/postgres -D /var/tmp/pg -c listen_addresses=$ADDRESS -c unix_socket_directories=/tmp -c ssl=on -c ssl_cert_file=/etc/db/db.crt -c ssl_key_file=/etc/db/db.key`,
		config: "datastore: {endpoint: 'postgres://kelp:" + dbPassword + "@%s:5432/kelp', caFile: /etc/db/ca.crt}\n",
		unit:   "db",
	},
	"mysql": {
		start: `mkdir -p /var/tmp/my; chown mysql /var/tmp/my /etc/db/db.key
			mariadb-install-db --no-defaults --user=mysql --datadir=/var/tmp/my --auth-root-authentication-method=normal >/dev/null
			printf "CREATE USER kelp@'%%' IDENTIFIED BY '` + dbPassword + `' REQUIRE SSL;\nGRANT ALL ON *.* TO kelp@'%%';\n" >/etc/db/init.sql
			systemd-run -q --unit=db mariadbd --no-defaults --user=mysql --datadir=/var/tmp/my --socket=/tmp/my.sock --pid-file=/tmp/my.pid --bind-address=$ADDRESS --init-file=/etc/db/init.sql --ssl-cert=/etc/db/db.crt --ssl-key=/etc/db/db.key --ssl-ca=/etc/db/ca.crt`,
		config: "datastore: {endpoint: 'mysql://kelp:" + dbPassword + "@tcp(%s:3306)/kelp', caFile: /etc/db/ca.crt}\n",
	},
}

// buildEtcd builds upstream's etcd, as an operator would run it.
func buildEtcd(t *testing.T) string {
	t.Helper()
	return buildProgram(t, ".", "etcd", "go.etcd.io/etcd/server/v3")
}

// buildProgram builds what an operator would run beside kelp, of a module's
// directory, and returns where hosts have it.
func buildProgram(t *testing.T, dir, name, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-C", dir, "-o", path, program)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", name, err, out)
	}
	shared, err := lab.lab.Share(path)
	if err != nil {
		t.Fatal(err)
	}
	return shared
}

// Two servers that keep nothing of the cluster themselves start at the same
// moment on an external datastore. Either may go, also for good.
func TestExternalDatastores(t *testing.T) {
	t.Parallel()
	etcd := buildEtcd(t)
	for name, db := range databases {
		t.Run(name, func(t *testing.T) {
			short := name[:2]
			h, err := lab.lab.Boot(t.Context(), hosts.Spec{Name: short + "-db", Bind: map[string]string{"/usr/local/bin/etcd": etcd}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := h.Stop(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
			if out, err := h.Shell(t.Context(), "ADDRESS="+h.Address+certify+db.start); err != nil {
				t.Fatal(err, out)
			}
			external(t, short, h, db)
		})
	}
}

// external is the test on a database that runs.
func external(t *testing.T, short string, h *hosts.Host, db database) {
	config := fmt.Sprintf(db.config, h.Address) + "token: the-secret-of-all-servers-here\n"
	one, two := ownServer(t, specNamed(short+"-one"), config), ownServer(t, specNamed(short+"-two"), config)
	for _, s := range []*server{one, two} {
		for _, file := range []string{"ca.crt", "db.crt", "db.key"} {
			text, err := h.ReadFile(t.Context(), "/etc/db/"+file)
			if err != nil {
				t.Fatal(err)
			}
			s.write(t, "/etc/db/"+file, text+"\n")
		}
		s.run(t, "chmod 600 /etc/db/db.key; systemctl start --no-block kelp")
	}
	for _, s := range []*server{one, two} {
		hosts.Eventually(t, ready, "both servers are nodes of one cluster", func(ctx context.Context) error {
			out, err := s.Kubectl(ctx, "get", "nodes", "--no-headers")
			if err == nil && strings.Count(out, " Ready ") != 2 {
				err = errors.New(out)
			}
			return err
		})
	}
	namespace := one.namespace(t, "external") // it is there at the end
	connected(t, two, namespace, one, two)
	l := startLedger(t, two.client(t))
	l.await(t, soon)

	if db.unit != "" {
		before := one.run(t, "systemctl show --property=MainPID --value kelp") + two.run(t, "systemctl show --property=MainPID --value kelp")
		stallUnit(t, h, db.unit, func() {
			one.awaitDiagnosis(t, stall, "problem", "datastore: it does not answer", "can be reached from here")
		})
		l.await(t, 3*soon)
		if after := one.run(t, "systemctl show --property=MainPID --value kelp") + two.run(t, "systemctl show --property=MainPID --value kelp"); after != before {
			t.Errorf("a process ended while the datastore stalled: %s, then %s", before, after)
		}
	}
	// The first one is gone, disk and all, and comes back as a new machine.
	if err := one.Kill9(t.Context(), "kelp"); err != nil {
		t.Fatal(err)
	}
	l.await(t, 2*soon)
	two.kubectl(t, "delete", "node", one.Name)
	one.write(t, "/usr/local/bin/kelp-killall.sh", packaged(t, "kelp-killall.sh"))
	one.run(t, "systemctl reset-failed kelp; sh /usr/local/bin/kelp-killall.sh; mv "+dataDir+"/server "+dataDir+"/server.old; mv "+dataDir+"/agent "+dataDir+"/agent.old")
	one.start(t)
	two.awaitNode(t, one.Name, joined)
	l.await(t, soon)
	l.check(t, one.client(t))
	for _, s := range []*server{one, two} {
		if out := s.run(t, "journalctl --unit=kelp --no-pager --output=cat"); strings.Contains(out, dbPassword) {
			t.Error("the password is in the log")
		}
		if out := s.run(t, "tr '\\0' ' ' </proc/$(systemctl show --property=MainPID --value kelp)/cmdline"); strings.Contains(out, dbPassword) {
			t.Error("the password is on the command line")
		}
	}
	// Whoever has the datastore, and not the token, is not let in.
	two.stopKelp(t)
	two.run(t, "mv "+dataDir+"/server "+dataDir+"/server.old; sed -i s/^token:.*/token:\\ another-secret-altogether/ /etc/kelp/config.yaml")
	r, err := two.Exec(t.Context(), "", "timeout", "30", hosts.KelpPath, "server")
	if err != nil || r.Code == 0 || !strings.Contains(r.Stderr, "cannot be opened") {
		t.Errorf("with another token: status %d, %v: %s", r.Code, err, r.Stderr)
	}
}

// stallUnit stops a unit's processes for longer than any lease of Kubernetes', and
// looks at something meanwhile.
func stallUnit(t *testing.T, h *hosts.Host, unit string, meanwhile func()) {
	t.Helper()
	if _, err := h.Run(t.Context(), "systemctl", "kill", "--signal=STOP", unit); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	meanwhile()
	hosts.Eventually(t, 2*stall, "the datastore has been away for long enough", func(context.Context) error {
		if time.Since(stopped) < stall {
			return errors.New("not yet")
		}
		return nil
	})
	if _, err := h.Run(t.Context(), "systemctl", "kill", "--signal=CONT", unit); err != nil {
		t.Fatal(err)
	}
}
