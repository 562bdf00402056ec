package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/containerd/log"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// accountLimit is how long a start waits for the default service account: a
// user may have switched off the controller that makes it.
const accountLimit = 2 * time.Minute

// account waits until pods can be created in the default namespace: the API
// refuses them without its service account, and the node may be ready before
// that is there.
type account struct {
	connect func() (kubernetes.Interface, error)
	limit   time.Duration
	state   atomic.Pointer[error] // nil before the first look, and nil inside when done
}

func newAccount(cfg config.Config) *account {
	return &account{limit: accountLimit, connect: func() (kubernetes.Interface, error) { return kelpClient(cfg) }}
}

// Run looks until the account is there, or for as long as the limit.
func (a *account) Run(ctx context.Context) error {
	client, err := a.connect()
	if err != nil {
		return err
	}
	err = poll.Until(ctx, a.limit, func(ctx context.Context) error {
		err := hasAccount(ctx, client)
		if err != nil {
			a.state.Store(&err)
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		log.G(ctx).WithError(err).Warn("pods cannot be created in the default namespace yet")
	}
	var done error
	a.state.Store(&done)
	<-ctx.Done()
	return nil
}

// Ready says what is missing.
func (a *account) Ready(context.Context) error {
	if state := a.state.Load(); state != nil {
		return *state
	}
	return errors.New("the API does not answer yet")
}

func hasAccount(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return errors.New("controller-manager has not made the default service account yet, without which no pod can be created")
	}
	if err != nil {
		return fmt.Errorf("read the default service account: %w", err)
	}
	return nil
}
