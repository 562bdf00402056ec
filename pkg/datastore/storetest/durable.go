package storetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// durablePrefix is where the child writes.
const durablePrefix = "/registry/durable/"

// Durable kills a process that writes, and checks that what it was told is
// written is there afterwards. Command is one that runs WriteForever; reopen
// opens the same datastore again.
func Durable(t *testing.T, command *exec.Cmd, reopen func(t *testing.T) *clientv3.Client) {
	t.Helper()
	acknowledged := KillWhileWriting(t, command, 200)
	client := reopen(t)
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	resp, err := client.Get(ctx, durablePrefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, kv := range resp.Kvs {
		found[string(kv.Key)] = string(kv.Value)
	}
	lost := 0
	for _, key := range acknowledged {
		if found[key] != "value of "+key {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged writes were lost", lost, len(acknowledged))
	}
}

// KillWhileWriting kills a command that runs WriteForever and returns the keys that the child reported before it was
// killed, in the middle of writing.
func KillWhileWriting(t *testing.T, command *exec.Cmd, atLeast int) []string {
	t.Helper()
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(3*wait, func() { _ = command.Process.Kill() })
	defer giveUp.Stop()
	var acknowledged []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		key, ok := strings.CutPrefix(lines.Text(), "acknowledged ")
		if !ok {
			continue
		}
		acknowledged = append(acknowledged, key)
		if len(acknowledged) == atLeast {
			if err := command.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	// It was killed: the error says so.
	if err := command.Wait(); err == nil {
		t.Fatal("the writing process ended by itself")
	}
	if len(acknowledged) < atLeast {
		t.Fatalf("the writing process ended after %d writes", len(acknowledged))
	}
	return acknowledged
}

// WriteForever creates keys, four at a time, and reports each on out after
// it was acknowledged. It returns the first error.
func WriteForever(ctx context.Context, client *clientv3.Client, out io.Writer) error {
	const writers = 4
	failed, reports := make(chan error, writers), make(chan string)
	for w := range writers {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s%d-%d", durablePrefix, w, i)
				_, err := client.Txn(ctx).
					If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
					Then(clientv3.OpPut(key, "value of "+key)).Commit()
				if err != nil {
					failed <- fmt.Errorf("create %s: %w", key, err)
					return
				}
				reports <- key
			}
		}()
	}
	for {
		select {
		case key := <-reports:
			if _, err := fmt.Fprintln(out, "acknowledged", key); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		case err := <-failed:
			return err
		}
	}
}
