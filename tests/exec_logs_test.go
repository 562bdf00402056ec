//go:build e2e

package tests

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kelp-project/kelp/tests/hosts"
)

const talker = `
apiVersion: v1
kind: Pod
metadata: {name: talker, namespace: talk, labels: {app: talker}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: web, image: ` + webImage + `, imagePullPolicy: Never}
  - {name: echo, image: ` + webImage + `, imagePullPolicy: Never, args: [echo], stdin: true, stdinOnce: true}
`

// Everything that takes over a connection works through the one port.
func TestExecLogsAttachPortForwardAndWatch(t *testing.T) {
	s := cluster(t)
	s.namespace(t, "talk")
	s.apply(t, talker)
	s.awaitPod(t, "talk", "app=talker", podUp)

	t.Run("exec", func(t *testing.T) {
		if got := s.kubectl(t, "-n", "talk", "exec", "talker", "-c", "web", "--", "sh", "-c", "echo $((6*7))"); got != "42" {
			t.Errorf("exec printed %q", got)
		}
		r, err := s.Exec(t.Context(), "typed\n", hosts.KelpPath, "kubectl", "-n", "talk", "exec", "-i", "talker", "-c", "web", "--", "sh", "-c", "cat; exit 3")
		if err != nil || r.Stdout != "typed\n" || r.Code != 3 {
			t.Errorf("exec -i: %+v, %v; want its input back and exit status 3", r, err)
		}
	})
	t.Run("port-forward", func(t *testing.T) { forward(t, s) })
	t.Run("logs", func(t *testing.T) {
		lines := s.startReading(t, "-n", "talk", "logs", "-f", "talker", "-c", "web")
		awaitLine(t, lines, "listening on port 8080")
		s.kubectl(t, "-n", "talk", "exec", "talker", "-c", "web", "--", "web", "get", "http://127.0.0.1:8080/followed")
		awaitLine(t, lines, "asked for /followed")
	})
	t.Run("attach", func(t *testing.T) {
		out, err := s.RunInput(t.Context(), "anybody\n", hosts.KelpPath, "kubectl", "-n", "talk", "attach", "-i", "talker", "-c", "echo")
		if err != nil || !strings.Contains(out, "you said: anybody") {
			t.Errorf("attach printed %q, %v", out, err)
		}
	})
	t.Run("watch", func(t *testing.T) { watchLabels(t, s) })
}

func forward(t *testing.T, s *server) {
	lines := s.startReading(t, "-n", "talk", "port-forward", "pod/talker", "18080:8080")
	awaitLine(t, lines, "Forwarding from 127.0.0.1:18080 -> 8080")
	awaitPage(t, soon, s.Dial, "http://127.0.0.1:18080/")
}

func watchLabels(t *testing.T, s *server) {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	w, err := s.client(t).CoreV1().Pods("talk").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatalf("watch pods: %v", err)
	}
	defer w.Stop()
	s.kubectl(t, "-n", "talk", "label", "pod", "talker", "watched=yes")
	for event := range w.ResultChan() {
		pod, ok := event.Object.(metav1.Object)
		if event.Type == watch.Modified && ok && pod.GetLabels()["watched"] == "yes" {
			return
		}
	}
	t.Errorf("the watch ended within %s without the change", soon)
}

// startReading starts a kubectl command that goes on, and returns its lines.
// It is killed with the test.
func (s *server) startReading(t *testing.T, args ...string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := s.Command(ctx, append([]string{hosts.KelpPath, "kubectl"}, args...)...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatalf("start kubectl %v: %v", args, err)
	}
	lines := make(chan string, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = w.Close() }()
		_ = cmd.Wait() // it is killed at the end: the status says nothing
	}()
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return lines
}

func awaitLine(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	limit := time.NewTimer(soon)
	defer limit.Stop()
	var seen []string
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("it ended without the line %q, after %q", want, seen)
			}
			if strings.Contains(line, want) {
				return
			}
			seen = append(seen, line)
		case <-limit.C:
			t.Fatalf("no line %q within %s, only %q", want, soon, seen)
		}
	}
}
