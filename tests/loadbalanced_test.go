//go:build e2e

package tests

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kelp-project/kelp/tests/hosts"
)

// frontend is what operators commonly put in front of API servers: TCP, round
// robin, and a check whether a connection is accepted.
const frontend = `
global
  daemon
defaults
  mode http
  timeout connect 5000ms
  timeout client 50000ms
  timeout server 50000ms
frontend kubernetes-frontend
  bind *:6443
  mode tcp
  default_backend kubernetes-backend
backend kubernetes-backend
  mode tcp
  balance roundrobin
`

// bootFrontend boots a host for a load balancer.
func bootFrontend(t *testing.T) *hosts.Host {
	t.Helper()
	h, err := lab.lab.Boot(t.Context(), hosts.Spec{Name: "lb"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return h
}

// balance starts HAProxy in front of the servers.
func balance(t *testing.T, lb *hosts.Host, servers ...*server) {
	t.Helper()
	text := strings.Builder{}
	text.WriteString(frontend)
	for i, s := range servers {
		fmt.Fprintf(&text, "  server master%d %s:6443 check\n", i+1, s.Address)
	}
	if err := lb.WriteFile(t.Context(), "/etc/kelp-frontend.cfg", text.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := lb.Run(t.Context(), "haproxy", "-f", "/etc/kelp-frontend.cfg"); err != nil {
		t.Fatal(err)
	}
}

// throughFrontend has the API answer through the load balancer, whichever
// server it chooses, with a certificate that is valid for its address.
func throughFrontend(t *testing.T, s *server, lb *hosts.Host) {
	t.Helper()
	cfg := rest.CopyConfig(s.restConfig(t))
	cfg.Host, cfg.Dial = "https://"+lb.Address+":6443", lab.lab.Dial
	hosts.Eventually(t, 2*soon, "the API answers through the load balancer", func(ctx context.Context) error {
		for range 6 {
			one := rest.CopyConfig(cfg)
			one.TLSClientConfig.NextProtos = []string{"http/1.1"} // a connection of its own each time
			client, err := kubernetes.NewForConfig(one)
			if err != nil {
				return err
			}
			if _, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}
