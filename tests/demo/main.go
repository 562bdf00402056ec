// Command demo shows a highly available cluster: three servers, of which the
// first one has moved its data from SQLite to etcd, and an agent, on booted test
// hosts that are gone when it ends. make demo-ha builds what it needs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	binary, err := hosts.Binary()
	if err != nil {
		return err
	}
	lab, err := hosts.Open(ctx, hosts.Options{})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, lab.Close(ctx))
	}()
	kelp, err := lab.Share(binary)
	if err != nil {
		return err
	}
	cluster, err := lab.BootCluster(ctx, kelp, "", func(h *hosts.Host, took time.Duration) {
		fmt.Printf("%-9s is ready after %4.1f s, at %s\n", h.Name, took.Seconds(), h.Address)
	})
	if err != nil {
		return err
	}
	if err := hosts.Until(ctx, time.Minute, func(ctx context.Context) error { return threeVoters(ctx, cluster.Servers[0]) }); err != nil {
		return fmt.Errorf("wait for three voters: %w", err)
	}
	for _, args := range [][]string{{"kubectl", "get", "nodes", "-o", "wide"}, {"etcd", "members"}, {"doctor"}} {
		if err := show(ctx, cluster.Servers[0], args...); err != nil {
			return err
		}
	}
	for _, h := range append(cluster.Servers, cluster.Agent) {
		if err := show(ctx, h, "status"); err != nil {
			return err
		}
	}
	return nil
}

// show prints a command of kelp's and what it says.
func show(ctx context.Context, h *hosts.Host, args ...string) error {
	out, err := h.Run(ctx, append([]string{hosts.KelpPath}, args...)...)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s# kelp %s\n%s\n", h.Name, strings.Join(args, " "), out)
	return nil
}

func threeVoters(ctx context.Context, h *hosts.Host) error {
	out, err := h.Run(ctx, hosts.KelpPath, "etcd", "members")
	if err != nil {
		return err
	}
	if strings.Contains(out, "learner") || strings.Count(out, "voter") != 2 {
		return errors.New(out)
	}
	return nil
}
