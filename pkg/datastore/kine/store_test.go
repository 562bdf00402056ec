package kine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/kelp-project/kelp/pkg/datastore/storetest"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// childDir makes this test binary write to the store in the directory until
// it is killed.
const childDir = "KELP_TEST_KINE_CHILD"

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := child(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(dir string) error {
	ctx := context.Background()
	store := New(options(dir))
	go func() { fmt.Fprintln(os.Stderr, store.Run(ctx)) }()
	client, err := connect(ctx, store)
	if err != nil {
		return err
	}
	return storetest.WriteForever(ctx, client, os.Stdout)
}

func options(dir string) Options {
	return Options{File: filepath.Join(dir, "db", "state.db"), Socket: filepath.Join(dir, "run", "kine.sock")}
}

// connect waits until the store answers. It knocks only when there is a
// socket, as the client would wait a second after a first failure.
func connect(ctx context.Context, store *Store) (*clientv3.Client, error) {
	if err := poll.Until(ctx, 20*time.Second, func(context.Context) error {
		_, err := os.Stat(store.opts.Socket)
		return err
	}); err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{store.URL()}, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return client, poll.Until(ctx, 20*time.Second, func(ctx context.Context) error {
		_, err := client.Get(ctx, "/")
		return err
	})
}

// shortDir is a directory with a path that a socket's fits below.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// start runs a store until the test ends, or until stop is called.
func start(t testing.TB, opts Options) (client *clientv3.Client, stop func()) {
	t.Helper()
	store := New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- store.Run(ctx) }()
	client, err := connect(ctx, store)
	if err != nil {
		cancel()
		t.Fatalf("%v; %v", err, <-done)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		_ = client.Close()
	}
	t.Cleanup(stop)
	return client, stop
}

func TestSuite(t *testing.T) {
	client, _ := start(t, options(shortDir(t)))
	storetest.Run(t, func(*testing.T) *clientv3.Client { return client })
}

func TestDurable(t *testing.T) {
	dir := shortDir(t)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childDir+"="+dir)
	storetest.Durable(t, command, func(t *testing.T) *clientv3.Client {
		client, _ := start(t, options(dir))
		return client
	})
}

func TestDatabaseIsDurableAndPrivate(t *testing.T) {
	opts := options(shortDir(t))
	start(t, opts)
	path, params, _ := strings.Cut(strings.TrimPrefix(opts.dsn(), "sqlite://"), "?")
	if _, err := url.ParseQuery(params); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", path+"?"+params)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "busy_timeout": "30000"} {
		var got string
		if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
	for path, want := range map[string]os.FileMode{
		opts.Socket: 0o600, filepath.Dir(opts.Socket): 0o700, filepath.Dir(opts.File): 0o700,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", path, info.Mode().Perm(), want, err)
		}
	}
}

func TestStopIsQuickWithAnOpenWatch(t *testing.T) {
	client, stop := start(t, options(shortDir(t)))
	watch := client.Watch(context.Background(), "/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch
	began := time.Now()
	stop()
	if took := time.Since(began); took > time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestLostDatabaseIsRefused(t *testing.T) {
	for name, damage := range map[string]struct {
		do   func(file string) error
		want string
	}{
		"emptied":   {func(f string) error { return os.Truncate(f, 0) }, "is empty, but it held a cluster before"},
		"removed":   {os.Remove, "is empty, but it held a cluster before"},
		"cut short": {func(f string) error { return os.Truncate(f, 8192) }, "is cut short: it has 8192 bytes of"},
		"stub":      {func(f string) error { return os.Truncate(f, 50) }, "is cut short: it has 50 bytes"},
		"other":     {func(f string) error { return os.WriteFile(f, make([]byte, 8192), 0o600) }, "is not an SQLite database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := options(shortDir(t))
			client, stop := start(t, opts)
			if _, err := client.Put(t.Context(), "/a", "b"); err != nil {
				// kine takes the API's transactions only; any write does here.
				_, err = client.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision("/a"), "=", 0)).Then(clientv3.OpPut("/a", "b")).Commit()
				if err != nil {
					t.Fatal(err)
				}
			}
			stop()
			if err := damage.do(opts.File); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(opts.File)
			err := New(opts).Run(t.Context())
			var lost *LostError
			if !errors.As(err, &lost) || !strings.Contains(err.Error(), damage.want) {
				t.Fatalf("got %v, want %q", err, damage.want)
			}
			if after, _ := os.ReadFile(opts.File); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestDamageAfterACrashIsFound(t *testing.T) {
	dir := shortDir(t)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childDir+"="+dir)
	storetest.KillWhileWriting(t, command, 2000)
	opts := options(dir)
	info, err := os.Stat(opts.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(opts.File, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	var lost *LostError
	if err := New(opts).Run(t.Context()); !errors.As(err, &lost) {
		t.Fatalf("got %v, want a LostError", err)
	}
}
