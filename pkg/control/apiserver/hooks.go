package apiserver

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	schedulingv1 "k8s.io/kubernetes/pkg/apis/scheduling/v1"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	schedulingrest "k8s.io/kubernetes/pkg/registry/scheduling/rest"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// hookTimeout is how long a start-up step may fail before the API server
// gives up: upstream's figure.
const hookTimeout = 30 * time.Second

// skipSlowHooks takes out the steps that upstream begins after a second.
func skipSlowHooks(cfg *app.Config) {
	cfg.KubeAPIs.ControlPlane.Generic.DisabledPostStartHooks.Insert(rbacrest.PostStartHookName, schedulingrest.PostStartHookName)
}

// addFastHooks does the same steps at once, and many objects side by side.
// /readyz waits for them as it does for upstream's. The longest of them ends with settled.
func addFastHooks(server *genericapiserver.GenericAPIServer, settled func()) error {
	for name, ensure := range map[string]func(context.Context, kubernetes.Interface) error{
		"kelp-rbac-bootstrap-roles": func(ctx context.Context, client kubernetes.Interface) error {
			err := ensureRoles(ctx, client)
			if err == nil {
				settled()
			}
			return err
		},
		"kelp-system-priority-classes": ensurePriorityClasses,
	} {
		if err := server.AddPostStartHook(name, hook(ensure)); err != nil {
			return fmt.Errorf("add start-up step %s: %w", name, err)
		}
	}
	return nil
}

func hook(ensure func(context.Context, kubernetes.Interface) error) genericapiserver.PostStartHookFunc {
	return func(hook genericapiserver.PostStartHookContext) error {
		client, err := kubernetes.NewForConfig(hook.LoopbackClientConfig)
		if err != nil {
			return fmt.Errorf("make client of the API: %w", err)
		}
		err = poll.Until(hook, hookTimeout, func(ctx context.Context) error { return ensure(ctx, client) })
		if hook.Err() != nil {
			return nil // told to stop: upstream would end the process for an error
		}
		return err
	}
}

// ensurePriorityClasses creates the two classes that system pods name.
func ensurePriorityClasses(ctx context.Context, client kubernetes.Interface) error {
	classes := client.SchedulingV1().PriorityClasses()
	for _, class := range schedulingv1.SystemPriorityClasses() {
		_, err := classes.Get(ctx, class.Name, metav1.GetOptions{})
		if err == nil {
			continue
		}
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("look at priority class %s: %w", class.Name, err)
		}
		if _, err := classes.Create(ctx, class, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create priority class %s: %w", class.Name, err)
		}
	}
	return nil
}
