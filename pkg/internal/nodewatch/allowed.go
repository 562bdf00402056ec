package nodewatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// The pause between two tries of Allowed grows from the first to the last.
const (
	firstPause = 25 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// Allowed returns when the API server lets the kubeconfig's identity read
// path. At a first start roles are made while components start: upstream's
// caches would log their refusals and wait ever longer between tries.
func Allowed(ctx context.Context, kubeconfig, path string) error {
	conf, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	client, err := rest.HTTPClientFor(conf)
	if err != nil {
		return fmt.Errorf("connect with %s: %w", kubeconfig, err)
	}
	defer client.CloseIdleConnections()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := ask(ctx, client, conf.Host+path)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for permission to read %s: %w; last: %w", path, ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}
