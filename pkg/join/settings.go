package join

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/log"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// The cluster's settings are those of the server that began it. It keeps them in
// an object, for servers that have joined to follow; agents ask a server.
const (
	settingsName = "kelp-settings"
	settingsKey  = "settings.json"
)

// settings keeps the object as this server has the settings, or what this server
// remembers as the object has them, until ctx ends. With an external datastore each
// server has its own.
func (s *Server) settings(ctx context.Context, client kubernetes.Interface) error {
	_, joined, err := Remembered(s.cfg.Paths())
	switch {
	case err != nil:
		return err
	case joined:
		return s.followSettings(ctx, client)
	case s.cfg.Datastore.Endpoint != "":
		<-ctx.Done()
		return nil
	}
	for {
		shared, _, changed := s.shared.Peek()
		if err := poll.Forever(ctx, func(ctx context.Context) error { return publishSettings(ctx, client, shared) }); err != nil {
			return nil // told to stop
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func publishSettings(ctx context.Context, client kubernetes.Interface, shared map[string][]string) error {
	text, err := json.MarshalIndent(shared, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the cluster's settings: %w", err)
	}
	objects := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	want := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: settingsName}, Data: map[string]string{settingsKey: string(text)}}
	have, err := objects.Get(ctx, settingsName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = objects.Create(ctx, want, metav1.CreateOptions{})
	case err == nil && have.Data[settingsKey] != want.Data[settingsKey]:
		have.Data = want.Data
		_, err = objects.Update(ctx, have, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("publish the cluster's settings: %w", err)
	}
	return nil
}

func (s *Server) followSettings(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(metav1.NamespaceSystem),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + settingsName }))
	seen := func(o any) {
		object, ok := o.(*corev1.ConfigMap)
		if !ok || object.Name != settingsName {
			return
		}
		if err := takeSettings(s.cfg, object.Data[settingsKey]); err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).Error("the cluster's settings have changed, and this server goes by the old ones")
		}
	}
	if _, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: seen, UpdateFunc: func(_, now any) { seen(now) },
	}); err != nil {
		return fmt.Errorf("watch the cluster's settings: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	<-ctx.Done()
	return nil
}

// takeSettings has this machine remember other settings of the cluster, from which
// its configuration is made, but for those that can never change. Settings with which
// it could not start are refused: where the server that began the cluster is gone,
// people write them.
func takeSettings(cfg config.Config, text string) error {
	paths := cfg.Paths()
	var shared map[string][]string
	if err := json.Unmarshal([]byte(text), &shared); err != nil {
		return fmt.Errorf("read the cluster's settings: %w", err)
	}
	cluster, known, err := Remembered(paths)
	if err != nil || !known {
		return err
	}
	next := maps.Clone(cluster.Settings)
	for _, f := range config.Fields() {
		if values, said := shared[f.Path]; said && f.Scope == "cluster" && f.Change != config.Never {
			next[f.Path] = values
		}
	}
	if maps.EqualFunc(next, cluster.Settings, slices.Equal[[]string]) {
		return nil
	}
	cluster.Settings = next
	if _, err := cluster.Settle(cfg, nil); err != nil {
		return fmt.Errorf("ConfigMap %s/%s: %w", metav1.NamespaceSystem, settingsName, err)
	}
	remembered, err := json.MarshalIndent(cluster, "", "  ")
	if err != nil {
		return fmt.Errorf("remember the cluster: %w", err)
	}
	if err := atomicfile.Write(paths.ClusterFile, append(remembered, '\n'), 0o600); err != nil {
		return fmt.Errorf("remember the cluster: %w", err)
	}
	return nil
}
