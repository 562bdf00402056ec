package token

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/pki"
)

const hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestParseReadsWhatTextWrites(t *testing.T) {
	t.Parallel()
	for _, want := range []Token{
		{Hash: hash, Role: Server, ID: "cluster", Secret: "s3cret"},
		{Hash: hash, Role: Agent, ID: "x1", Secret: "with.dots."},
		{Secret: "a secret's own text"[:9] + "x"},
		New(hash, Agent, NewID()),
	} {
		want.Secret = strings.ReplaceAll(want.Secret, " ", "_")
		got, err := Parse(want.Text() + "\n")
		if err != nil || got != want {
			t.Errorf("Parse(Text(%+v)) = %+v, %v", want, got, err)
		}
	}
}

func TestParseRefusesBrokenTokensWithoutRepeatingThem(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "two words", "kelp1.", "kelp1." + hash + ".server.secret", "kelp1.abc.server.id.secret",
		"kelp1." + hash + ".king.id.secret", "kelp1." + hash + ".agent..secret", "kelp1." + hash + ".agent.id.",
	} {
		_, err := Parse(text)
		if err == nil || strings.Contains(err.Error(), ".secret") {
			t.Errorf("Parse(%q): %v", text, err)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	full := Token{Hash: hash, Role: Server, ID: "cluster", Secret: "s"}
	for other, want := range map[Token]bool{
		{Secret: "s"}:  true,
		{Secret: "t"}:  false,
		{Secret: "ss"}: false,
		{Hash: strings.Repeat("0", 64), Secret: "s"}:         false,
		{Hash: hash, Role: Server, ID: "other", Secret: "s"}: true,
	} {
		if got := full.Matches(other); got != want {
			t.Errorf("matches %+v: %v", other, got)
		}
	}
}

func TestStringHidesTheSecret(t *testing.T) {
	t.Parallel()
	if s := New(hash, Server, "x").String(); s != "server token x" {
		t.Error(s)
	}
}

func cluster(t *testing.T) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	cfg.Node.Name = "one"
	cfg.Kubeconfig.Path = filepath.Join(cfg.DataDir, "kubeconfig")
	if err := pki.New(cfg).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func read(t *testing.T, cfg config.Config) Token {
	t.Helper()
	path := cfg.Paths().TokenFile
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v", path, info.Mode())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A token that is rotated on one server is in the files of the others, whose
// authority is the same, and nobody else's.
func TestRotatedTokensReachOtherServers(t *testing.T) {
	t.Parallel()
	one, two, stranger := cluster(t), cluster(t), cluster(t)
	authority := func(cfg config.Config) string { return filepath.Dir(pki.AuthorityFiles(cfg.Paths(), pki.ServerCA).Key) }
	if err := os.RemoveAll(authority(two)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(authority(two), os.DirFS(authority(one))); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []config.Config{one, two, stranger} {
		if err := Ensure(cfg); err != nil {
			t.Fatal(err)
		}
	}
	client := fake.NewClientset()
	store := NewStore(client)
	if err := Publish(t.Context(), one, store, time.Now()); err != nil {
		t.Fatal(err)
	}
	other := read(t, stranger)
	for _, cfg := range []config.Config{one, two, stranger} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Follow(ctx, cfg, client) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	same := func(context.Context) error {
		if read(t, one).Secret != read(t, two).Secret {
			return errors.New("the files differ")
		}
		return nil
	}
	if err := poll.Until(t.Context(), 20*time.Second, same); err != nil {
		t.Fatal(err)
	}
	before := read(t, one)
	if _, err := Rotate(t.Context(), two, store, Server, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := poll.Until(t.Context(), 20*time.Second, same); err != nil || read(t, one) == before {
		t.Errorf("the other server has %v, before %v: %v", read(t, one), before, err)
	}
	if read(t, stranger) != other {
		t.Error("a server with another authority took the token")
	}
	secret, err := client.CoreV1().Secrets(namespace).Get(t.Context(), secretPrefix+string(Server), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range secret.Data {
		if strings.Contains(string(value), read(t, one).Secret) {
			t.Errorf("the record has the secret in its %s", key)
		}
	}
}

// published is a server whose tokens have their records.
func published(t *testing.T) (config.Config, *fake.Clientset, *Store) {
	t.Helper()
	cfg, client := cluster(t), fake.NewClientset()
	store := NewStore(client)
	if err := errors.Join(Ensure(cfg), Publish(t.Context(), cfg, store, time.Now())); err != nil {
		t.Fatal(err)
	}
	return cfg, client, store
}

// becomes has a server follow the cluster until its file has a token.
func becomes(t *testing.T, cfg config.Config, client kubernetes.Interface, want Token) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Follow(ctx, cfg, client) }()
	if err := poll.Until(t.Context(), 20*time.Second, func(context.Context) error {
		if got := read(t, cfg); got != want {
			return fmt.Errorf("the file has %+v", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A rotation that was killed when the cluster had the new token and no file had it is
// ended by the servers that run: what the file says is what lets somebody in.
func TestARotationThatWasKilledIsEnded(t *testing.T) {
	t.Parallel()
	cfg, client, store := published(t)
	next := New(read(t, cfg).Hash, Server, string(Server))
	record, err := ownRecord(cfg, next, time.Now()) // as far as a kill let Rotate come
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	becomes(t, cfg, client, next)
}

// A snapshot from before a rotation brings the token of then back, on its own server
// too: the file and what lets in never differ.
func TestTheTokenOfASnapshotIsTheClustersAgain(t *testing.T) {
	t.Parallel()
	cfg, client, store := published(t)
	then := read(t, cfg)
	secrets := client.CoreV1().Secrets(namespace)
	snapshot, err := secrets.Get(t.Context(), secretPrefix+string(Server), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(t.Context(), cfg, store, Server, time.Now()); err != nil {
		t.Fatal(err)
	}
	if read(t, cfg) == then {
		t.Fatal("the token was not rotated")
	}
	if _, err := secrets.Update(t.Context(), snapshot, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Publish(t.Context(), cfg, store, time.Now()); err != nil { // as a start does
		t.Fatal(err)
	}
	becomes(t, cfg, client, then)
}

func TestTheFirstStartMakesATokenThatStays(t *testing.T) {
	t.Parallel()
	cfg := cluster(t)
	if err := Ensure(cfg); err != nil {
		t.Fatal(err)
	}
	first := read(t, cfg)
	if first.Role != Server || len(first.Secret) < 26 || len(first.Hash) != 64 {
		t.Errorf("made %+v", first)
	}
	if err := Ensure(cfg); err != nil || read(t, cfg) != first {
		t.Errorf("the second start made another one: %v", err)
	}
	cfg.Token = first.Text()
	if err := Check(cfg); err != nil {
		t.Error(err)
	}
	cfg.Token = "another"
	if err := Check(cfg); err == nil || strings.Contains(err.Error(), "another") || !strings.Contains(err.Error(), cfg.Paths().TokenFile) {
		t.Errorf("a token that contradicts: %v", err)
	}
	if err := Ensure(cfg); err == nil || read(t, cfg) != first {
		t.Errorf("the cluster's token was replaced: %v", err)
	}
}

func TestAConfiguredSecretIsTheClusters(t *testing.T) {
	t.Parallel()
	cfg := cluster(t)
	cfg.TokenFile = filepath.Join(cfg.DataDir, "mine")
	if err := os.WriteFile(cfg.TokenFile, []byte("my-own-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(cfg); err != nil {
		t.Fatal(err)
	}
	if got := read(t, cfg); got.Secret != "my-own-secret" || got.Hash == "" {
		t.Errorf("wrote %+v", got)
	}
}

func TestOtherTokensAreRefused(t *testing.T) {
	t.Parallel()
	cfg := cluster(t)
	for text, want := range map[string]string{
		Token{Hash: hash, Role: Server, ID: "cluster", Secret: "s"}.Text(): "another cluster's",
		Token{Hash: hash, Role: Agent, ID: "x", Secret: "s"}.Text():        "agent's token",
		"kelp1.x": "is not a token",
	} {
		cfg.Token = text
		if err := Ensure(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	cfg.Token, cfg.TokenFile = "", filepath.Join(cfg.DataDir, "missing")
	if err := Check(cfg); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Error(err)
	}
	if _, err := os.Stat(cfg.Paths().TokenFile); err == nil {
		t.Error("a refused token was written")
	}
}
