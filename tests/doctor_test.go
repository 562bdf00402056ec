//go:build e2e

package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// diagnosis is what kelp doctor says, in JSON.
type diagnosis struct {
	Answers []struct {
		Level, Subject, Text, Cause string
		Next                        []string
	}
}

// says tells whether an answer of a level has these texts in it, in this order.
func (d diagnosis) says(level string, parts ...string) bool {
	for _, a := range d.Answers {
		text := fmt.Sprintf("%s: %s because %s → %s", a.Subject, a.Text, a.Cause, strings.Join(a.Next, " → "))
		found := a.Level == level
		for _, part := range parts {
			_, after, there := strings.Cut(text, part)
			text, found = after, found && there
		}
		if found {
			return true
		}
	}
	return false
}

func (s *server) doctor(ctx context.Context, args ...string) (d diagnosis, status int, err error) {
	r, err := s.Exec(ctx, "", append([]string{hosts.KelpPath, "doctor", "-o", "json"}, args...)...)
	if err != nil {
		return d, 0, err
	}
	if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil {
		return d, r.Code, fmt.Errorf("%w: %s%s", err, r.Stdout, r.Stderr)
	}
	return d, r.Code, nil
}

// awaitDiagnosis waits until the doctor says so, of a problem with exit status 3.
func (s *server) awaitDiagnosis(t *testing.T, limit time.Duration, level string, parts ...string) {
	t.Helper()
	s.awaitDiagnoses(t, limit, level, parts)
}

// awaitDiagnoses waits until the doctor says all of these at once, and returns
// whatever it says then.
func (s *server) awaitDiagnoses(t *testing.T, limit time.Duration, level string, all ...[]string) (d diagnosis) {
	t.Helper()
	var last error // of a look that came to an end
	hosts.Eventually(t, limit, "the doctor says what is the matter", func(ctx context.Context) (err error) {
		now, status, err := s.doctor(ctx)
		if err != nil {
			return errors.Join(err, last)
		}
		defer func() { last = err }()
		var missing []string
		for _, parts := range all {
			if !now.says(level, parts...) {
				missing = append(missing, fmt.Sprintf("%s %q", level, parts))
			}
		}
		switch {
		case len(missing) > 0:
			return fmt.Errorf("it does not say %s, but %+v", strings.Join(missing, ", "), now.Answers)
		case level == "problem" && status != 3:
			return fmt.Errorf("its exit status is %d", status)
		}
		d = now
		return nil
	})
	return d
}

// awaitNoProblem waits until the doctor finds a thing good, or of another level that
// is as good here.
func (s *server) awaitNoProblem(t *testing.T, limit time.Duration, subject string, also ...string) {
	t.Helper()
	hosts.Eventually(t, limit, "the doctor finds no problem of "+subject, func(ctx context.Context) error {
		d, _, err := s.doctor(ctx)
		about := subject + ": "
		well := slices.ContainsFunc(append(also, "good"), func(level string) bool { return d.says(level, about) })
		if err == nil && (d.says("problem", about) || !well) {
			return fmt.Errorf("it says %+v", d.Answers)
		}
		return err
	})
}

func TestDoctorSaysWhyDNSFails(t *testing.T) {
	s := cluster(t)
	s.awaitNoProblem(t, ready, "dns")
	system := func(args ...string) { s.kubectl(t, append([]string{"-n", "kube-system"}, args...)...) }
	system("patch", "service", "kube-dns", "-p", `{"spec":{"selector":{"k8s-app":"another"}}}`)
	s.awaitDiagnosis(t, 3*soon, "problem", "dns: ", "does not resolve kubernetes.default.svc", "selects no pod that is ready", "systemctl restart kelp")
	system("patch", "service", "kube-dns", "-p", `{"spec":{"selector":{"k8s-app":"kube-dns"}}}`)
	system("scale", "deployment", "coredns", "--replicas=0")
	s.awaitDiagnosis(t, 3*soon, "problem", "dns: ", "somebody has scaled CoreDNS to 0", "scale deploy/coredns --replicas=1")
	system("scale", "deployment", "coredns", "--replicas=1")
	s.awaitDeployments(t, "kube-system", 1, podUp)
	s.awaitNoProblem(t, 3*soon, "dns")
	system("delete", "service", "kube-dns")
	s.awaitDiagnosis(t, 3*soon, "problem", "dns: ", "there is no Service kube-dns in kube-system", "systemctl restart kelp")
	s.run(t, "systemctl restart kelp")
	s.awaitNoProblem(t, ready, "dns")
}

func TestDoctorMissesTheRoleOfTheControllerManager(t *testing.T) {
	s := cluster(t)
	const binding = "system:kube-controller-manager"
	text := s.kubectl(t, "get", "clusterrolebinding", binding, "-o", "jsonpath={.roleRef.name} {.subjects[0].name}")
	if text != binding+" "+binding {
		t.Fatalf("the binding is of %s", text)
	}
	s.kubectl(t, "delete", "clusterrolebinding", binding)
	s.awaitDiagnosis(t, soon, "problem", "controllers: kube-controller-manager may not list deployments", "the binding of it, both called "+binding, "systemctl restart kelp")
	// What the doctor says helps.
	s.run(t, "systemctl restart kelp")
	s.awaitNoProblem(t, ready, "controllers")
}

// With kelp down the doctor says why, and what it says helps. On the way there is
// a certificate that has not long to live.
func TestDoctorWithoutKelp(t *testing.T) {
	s := cluster(t)
	s.awaitDeployments(t, "kube-system", 1, ready) // CoreDNS has a log
	s.stopKelp(t)
	defer s.run(t, "systemctl start kelp")
	s.awaitDiagnosis(t, soon, "problem", "kelp: it does not run", "systemctl start kelp")
	d, _, err := s.doctor(t.Context())
	if err != nil || !d.says("problem", "api: it does not answer", "kelp does not run") || !d.says("unknown", "cluster: ", "the API does not answer") {
		t.Errorf("got %+v, %v", d, err)
	}
	if r, err := s.Exec(t.Context(), "", hosts.KelpPath, "doctor", "--bundle=/root/down.tar.gz"); err != nil || r.Code != 3 || !strings.Contains(r.Stderr, "wrote /root/down.tar.gz") {
		t.Errorf("a bundle without kelp: status %d, %v: %s", r.Code, err, r.Stderr)
	}
	if files := s.run(t, "tar -tzf /root/down.tar.gz"); !strings.Contains(files, "/machine/journal.txt") || !strings.Contains(files, "/logs/kube-system_coredns") {
		t.Errorf("the bundle has %s", files)
	}
	s.reissue(t, "scheduler", -time.Hour, 10*24*time.Hour-time.Hour)
	s.awaitDiagnosis(t, soon, "warning", "certificates: scheduler ends in 9 days", "it does not run", "kelp certificate rotate scheduler")
	s.certificatesFail(t)
	s.run(t, "systemd-run -q --unit=taker socat TCP-LISTEN:6443,fork,reuseaddr /dev/null; until ss -ltnH | grep -q :6443; do :; done") // without reuseaddr kelp could not have it back for a minute
	if r, err := s.Exec(t.Context(), "", "systemctl", "start", "kelp"); err != nil || r.Code == 0 {
		t.Errorf("kelp starts with its port taken: %v", err)
	}
	s.awaitDiagnosis(t, soon, "problem", "kelp: it does not run", "port 6443 (the API) is taken by socat")
	s.awaitDiagnosis(t, soon, "problem", "port 6443: port 6443 (the API) is taken by socat")
	s.run(t, "systemctl stop taker; systemctl reset-failed kelp; systemctl start kelp")
	s.awaitNoProblem(t, ready, "kelp")
	s.awaitNoProblem(t, soon, "api")

	// With kelp running, its API lets nobody in whose certificate has ended.
	s.reissue(t, "kelp", -50*time.Hour, -time.Hour)
	s.awaitDiagnoses(t, soon, "problem", []string{"api: https://127.0.0.1:6443 does not answer", "the certificate kelp has ended", "kelp certificate rotate kelp"}, []string{"certificates: kelp has ended"})
	s.run(t, hosts.KelpPath+" certificate rotate kelp")
	s.awaitNoProblem(t, soon, "api")
}

// noisy says its environment, in a namespace whose logs are in the bundle.
const noisy = `
apiVersion: v1
kind: Secret
metadata: {name: noisy, namespace: kube-system}
stringData: {password: "se<cr>et-of-the-noisy-one"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: noisy, namespace: kube-system}
data: {setting: configmap-of-the-noisy-one}
---
apiVersion: v1
kind: Pod
metadata: {name: noisy, namespace: kube-system}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: ` + webImage + `
    imagePullPolicy: Never
    command: [sh, -c, 'echo "this is noisy: $PASSWORD"; sleep 1000']
    env:
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: noisy, key: password}}}
    - {name: PLAIN, value: environment-of-the-noisy-one}
`

func TestBundleHasNoSecrets(t *testing.T) {
	s := cluster(t)
	s.apply(t, noisy)
	defer s.kubectl(t, "-n", "kube-system", "delete", "pod/noisy", "secret/noisy", "configmap/noisy", "--wait=false")
	s.awaitPodNamed(t, "kube-system", "noisy", podUp)
	s.write(t, "/etc/kelp/registries.yaml", "configs:\n  registry.test:\n    auth: {username: somebody, password: registry-password-of-this-test}\n")
	defer s.run(t, "rm /etc/kelp/registries.yaml")
	s.run(t, "rm -rf /root/bundle; mkdir /root/bundle")
	hosts.Eventually(t, soon, "the pod has said what it has to say", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "-n", "kube-system", "logs", "noisy")
		if err == nil && !strings.Contains(out, "this is noisy") {
			err = errors.New(out)
		}
		return err
	})
	secrets := []string{
		"se<cr>et-of-the-noisy-one", "configmap-of-the-noisy-one", "environment-of-the-noisy-one", "registry-password-of-this-test", "PRIVATE KEY",
		s.serverToken(t), s.agentToken(t), s.run(t, "cat "+dataDir+"/server/token | cut -d. -f5"), s.run(t, "cat "+dataDir+"/agent/node-secret 2>/dev/null || echo no-secret-of-a-node"),
	}
	for _, name := range []string{"b.tar.zst", "b.tar.gz"} {
		r, err := s.Exec(t.Context(), "", hosts.KelpPath, "doctor", "--bundle=/root/bundle/"+name)
		if err != nil || r.Code == 1 || !strings.Contains(r.Stderr, "wrote /root/bundle/"+name) {
			t.Fatalf("status %d, %v: %s", r.Code, err, r.Stderr)
		}
	}
	if mode := s.run(t, "stat -c %a /root/bundle/b.tar.zst"); mode != "600" {
		t.Errorf("its mode is %s", mode)
	}
	s.run(t, "cd /root/bundle; mkdir zst gz; tar -xzf b.tar.gz -C gz --strip-components=1; tar --zstd -xf b.tar.zst -C zst --strip-components=1")
	for _, secret := range secrets {
		r, err := s.Exec(t.Context(), "", "grep", "-rlF", "--", secret, "/root/bundle/gz", "/root/bundle/zst")
		if err != nil || r.Code != 1 {
			t.Errorf("%.12q… is in %s (status %d, %v)", secret, r.Stdout, r.Code, err)
		}
	}
	for path, want := range map[string]string{
		"report.txt": "good", "status.json": `"apiserver"`, "config.yaml": "clusterCIDRs", "args/kube-apiserver.txt": "authorization", "objects/pods.json": `"name": "coredns`,
		"objects/nodes.json": s.node(t).Name, "objects/leases.json": "[", "objects/addons.json": "coredns.yaml", "certificates.json": `"notAfter"`, "machine/disk.txt": "Use%",
		"machine/nft.txt": "table", "machine/routes.txt": "default", "machine/containers.txt": "coredns", "machine/journal.txt": "kelp starts",
		"logs/kube-system/noisy/c.log": "this is noisy: (redacted)", "machine/proc-self-mountinfo": "overlay",
	} {
		if r, err := s.Exec(t.Context(), "", "grep", "-qF", "--", want, "/root/bundle/zst/"+path); err != nil || r.Code != 0 {
			t.Errorf("%s does not have %q in it: %v", path, want, err)
		}
	}
}

func TestStatusOfTheCluster(t *testing.T) {
	s := cluster(t)
	name := s.node(t).Name
	var st struct {
		Ready      bool
		Node       string
		Components []struct{ Name string }
		Cluster    struct {
			Problem string
			Nodes   []struct {
				Name          string
				Server, Ready bool
				Version       string
			}
			Datastore   struct{ Kind string }
			Certificate struct{ DaysLeft int }
		}
	}
	if err := json.Unmarshal([]byte(s.run(t, hosts.KelpPath+" status --wait -o json")), &st); err != nil {
		t.Fatal(err)
	}
	c := st.Cluster
	if !st.Ready || st.Node != name || len(st.Components) < 10 || c.Problem != "" || len(c.Nodes) != 1 || !c.Nodes[0].Server || !c.Nodes[0].Ready || c.Nodes[0].Version == "" || c.Datastore.Kind != "sqlite" || c.Certificate.DaysLeft < 300 {
		t.Errorf("got %+v", st)
	}
	out := s.run(t, "timeout --preserve-status -s INT 8 "+hosts.KelpPath+" status --watch")
	if pictures := strings.Split(out, "\x1b[H\x1b[2J"); len(pictures) < 3 || !strings.Contains(pictures[2], name+"  server  ready") || !strings.Contains(pictures[2], "apiserver") {
		t.Errorf("it shows %q", out)
	}
}
