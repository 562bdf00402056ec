package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/pkg/config"
)

func TestRedactPatterns(t *testing.T) {
	t.Parallel()
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl"
	r := newRedactor(nil)
	for text, want := range map[string]string{
		"Authorization: Bearer abcdefgh12345":                                    "Authorization: Bearer (redacted)",
		"got " + jwt + ".":                                                       "got (redacted).",
		"postgres://kelp:s3cr3t@db:5432/kelp":                                    "postgres://(redacted)@db:5432/kelp",
		"mysql://kelp:s3cr3t@tcp(db:3306)/kelp":                                  "mysql://(redacted)@tcp(db:3306)/kelp",
		"kelp:s3cr3t@tcp(db:3306)/kelp":                                          "(redacted)@tcp(db:3306)/kelp",
		"--token=abc --token-file=/root/token":                                   "--token=(redacted) --token-file=/root/token",
		"password: \"two words\" more":                                           "password: \"(redacted)\" more",
		`{"db_password":"x","secretName":"s"}`:                                   `{"db_password":"(redacted)","secretName":"s"}`,
		`{\"password\":\"x\"}`:                                                   `{\"password\":\"(redacted)\"}`,
		"AWS_SECRET_ACCESS_KEY=a/b+c":                                            "AWS_SECRET_ACCESS_KEY=(redacted)",
		"automountServiceAccountToken: true":                                     "automountServiceAccountToken: true",
		"https://10.0.0.1:6443/api?x=a@b":                                        "https://10.0.0.1:6443/api?x=a@b",
		"token kelp1." + strings.Repeat("ab", 32) + ".server.server.SECRET left": "token (redacted) left",
		"-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----\nx":   "(redacted)\nx",
		"node main is ready":                                                     "node main is ready",
	} {
		if got := r.text(text); got != want && !(strings.Contains(want, `\"(redacted)`) && strings.Contains(got, gone) && !strings.Contains(got, `\"x`)) {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

// secretsEverywhere are known secrets, and where they are put on the machine, in
// the cluster and in what the bundle is made from.
type secretsEverywhere struct {
	token, agentToken, node, registry, registryAuth, s3, encryption, database, value, lines, env, argument string
}

func planted() secretsEverywhere {
	hash := strings.Repeat("ab", 32)
	return secretsEverywhere{
		token: "kelp1." + hash + ".server.server.SERVERTOKENSECRET", agentToken: "kelp1." + hash + ".agent.agent.AGENTTOKENSECRET",
		node: "nodesecretnodesecret", registry: "registrypa$$word", registryAuth: "authuser:authpassword", s3: "s3/secret+key",
		encryption: "ZW5jcnlwdGlvbmtleQ==", database: "dbpa%24sword", value: `va"lue<&>of a Secret`, lines: "first line of it\nsecond line of it", env: "environmentvalue", argument: "argumentvalue",
	}
}

func (s secretsEverywhere) onDisk(t *testing.T) config.Config {
	t.Helper()
	cfg := config.Default()
	dir := t.TempDir()
	cfg.DataDir, cfg.Node.Name = filepath.Join(dir, "kelp"), "main"
	cfg.Token = s.token
	cfg.Containerd.Registries, cfg.S3.CredentialsFile = filepath.Join(dir, "registries.yaml"), filepath.Join(dir, "s3")
	cfg.Datastore.Kind, cfg.Datastore.Endpoint = config.DatastoreExternal, "postgres://kelp:"+s.database+"@127.0.0.1:1/kelp"
	cfg.Args.APIServer = []string{"some-password=" + s.argument}
	p := cfg.Paths()
	for path, text := range map[string]string{
		p.TokenFile: s.token + "\n", p.AgentTokenFile: s.agentToken + "\n", p.NodeSecret: s.node,
		cfg.Containerd.Registries: "configs:\n  r.test:\n    auth:\n      password: \"" + s.registry + "\"\n      auth: " + base64.StdEncoding.EncodeToString([]byte(s.registryAuth)) + "\n",
		cfg.S3.CredentialsFile:    "[default]\naws_access_key_id = AKIAKEYID\naws_secret_access_key = " + s.s3 + "\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

// noise is a text that says all secrets, as a careless program logs them.
func (s secretsEverywhere) noise() string {
	return strings.Join([]string{
		"joining with", s.token, "and", s.agentToken, "or SERVERTOKENSECRET", s.node, s.registry, s.registryAuth, "authpassword", s.s3, "AKIAKEYID",
		"postgres://kelp:" + s.database + "@127.0.0.1:1/kelp", "dbpa$sword", s.value, base64.StdEncoding.EncodeToString([]byte(s.value)), s.lines, "12:00 second line of it",
	}, " ")
}

func TestNoSecretIsInABundle(t *testing.T) {
	t.Parallel()
	s := planted()
	e := well()
	e.Config = s.onDisk(t)
	e.API = API{URL: "https://127.0.0.1:1", Err: s.noise()}
	pod := waitingPod("web", "CrashLoopBackOff", s.noise())
	pod.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": s.env}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: s.env}, {Name: "B", ValueFrom: &corev1.EnvVarSource{}}}
	pod.Spec.Containers[0].Args = []string{"--db-password=" + s.argument, s.noise()}
	e.Cluster.Pods = []corev1.Pod{pod}
	e.Cluster.Events = []corev1.Event{event("Pod", "web", "Failed", s.noise(), 0)}
	e.Cluster.Errs = map[string]string{"x": s.noise()}
	e.Unit.Errors = []string{s.noise()}
	e.Status.Components[0].LastError = s.noise()

	for _, name := range []string{"b.tar.gz", "b.tar.zst"} {
		archive := filepath.Join(t.TempDir(), name)
		// The API does not answer in this test: its Secrets are given as those of
		// a bundle that could ask for them.
		known := secretsOf([]corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Data: map[string][]byte{"k": []byte(s.value), "l": []byte(s.lines), "n": []byte("kube-system"), "w": []byte("shop"), "role": []byte("server")}}})
		if err := write(t.Context(), archive, e, Extra{Files: map[string]string{"args/etcd.txt": s.noise()}}, clients{}, known); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(archive); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		files := unpack(t, archive)
		for _, want := range []string{"report.txt", "report.json", "status.json", "config.yaml", "certificates.json", "objects/pods.json", "args/etcd.txt", "machine/disk.txt", "machine/proc-self-mountinfo"} {
			if files[want] == "" {
				t.Errorf("%s: %s is missing", name, want)
			}
		}
		if !strings.Contains(files["objects/pods.json"], `"name": "web"`) || !strings.Contains(files["objects/pods.json"], `"namespace": "shop"`) {
			t.Errorf("too much is gone: %s", files["objects/pods.json"])
		}
		for path, text := range files {
			for _, secret := range []string{
				"SERVERTOKENSECRET", "AGENTTOKENSECRET", s.node, s.registry, "authpassword", s.s3, "AKIAKEYID", s.database, "dbpa$sword", s.env, s.argument,
				"lue<&>of", `va\"lue`, base64.StdEncoding.EncodeToString([]byte(s.value)), base64.StdEncoding.EncodeToString([]byte(s.registryAuth)), "first line of it", "second line of it",
			} {
				if strings.Contains(text, secret) {
					t.Errorf("%s: %s has %q in it", name, path, secret)
				}
			}
		}
	}
}

func TestBundleOfAnotherForm(t *testing.T) {
	t.Parallel()
	if err := Bundle(t.Context(), filepath.Join(t.TempDir(), "b.zip"), well(), Extra{}); err == nil || !strings.Contains(err.Error(), ".tar.zst") {
		t.Errorf("got %v", err)
	}
}

// unpack reads an archive, without the directory that all of it is in.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader
	if strings.HasSuffix(path, ".gz") {
		r, err = gzip.NewReader(bytes.NewReader(data))
	} else {
		r, err = zstd.NewReader(bytes.NewReader(data))
	}
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		files[name] = string(text)
	}
}
