package kubelet

import (
	"context"
	"fmt"
	"sync"

	cadvisor "github.com/google/cadvisor/lib/container/containerd"
	corev1 "k8s.io/api/core/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeletscheme "k8s.io/kubernetes/pkg/kubelet/apis/config/scheme"
	"sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/nodewatch"
)

// Server is everything that upstream's Run takes, computed from the
// configuration, the drop-ins and the user's arguments.
func Server(cfg config.Config, in Inputs, dropIns []DropIn) (*options.KubeletServer, *kubeletv1beta1.KubeletConfiguration, error) {
	merged, err := Merge(Configuration(cfg, in), dropIns)
	if err != nil {
		return nil, nil, err
	}
	set, err := Args(cfg, in)
	if err != nil {
		return nil, nil, err
	}
	internal, err := convert(merged)
	if err != nil {
		return nil, nil, err
	}
	server := &options.KubeletServer{KubeletFlags: *options.NewKubeletFlags(), KubeletConfiguration: *internal}
	if err := parse(server, set); err != nil {
		return nil, nil, err
	}
	if err := options.ValidateKubeletServer(server); err != nil {
		return nil, nil, fmt.Errorf("check kubelet configuration: %w", err)
	}
	return server, merged, nil
}

// convert applies upstream's defaults.
func convert(versioned *kubeletv1beta1.KubeletConfiguration) (*kubeletconfig.KubeletConfiguration, error) {
	scheme, _, err := kubeletscheme.NewSchemeAndCodecs()
	if err != nil {
		return nil, fmt.Errorf("register kubelet configuration: %w", err)
	}
	versioned = versioned.DeepCopy()
	scheme.Default(versioned)
	internal := &kubeletconfig.KubeletConfiguration{}
	if err := scheme.Convert(versioned, internal, nil); err != nil {
		return nil, fmt.Errorf("convert kubelet configuration: %w", err)
	}
	return internal, nil
}

// parse puts the arguments over flags and configuration, as upstream does:
// they win over the files. Feature gates of the files are kept beside those of
// the arguments.
func parse(server *options.KubeletServer, set *args.Set) error {
	gates := server.FeatureGates
	server.FeatureGates = map[string]bool{}
	fs := flagSet(&server.KubeletFlags, server)
	if err := set.Parse(func(argument string) error { return fs.Parse([]string{argument}) }); err != nil {
		return err
	}
	for name, on := range server.FeatureGates {
		if err := checkGate(name, on); err != nil {
			return set.Problem("feature-gates", err)
		}
	}
	for name, on := range gates {
		if _, ok := server.FeatureGates[name]; !ok {
			server.FeatureGates[name] = on
		}
	}
	// Both were read already; upstream's Run does not look at them.
	server.KubeletConfigFile, server.KubeletDropinConfigDirectory = "", ""
	return nil
}

// run is what the RunE of upstream's command does after parsing, without its
// signal handler, its logging set-up and its exits.
func run(ctx context.Context, server *options.KubeletServer) error {
	// Feature gates are one set for the whole process; each component adds its
	// own before it starts, and the same value again changes nothing.
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(server.FeatureGates); err != nil {
		return fmt.Errorf("set feature gates: %w", err)
	}
	*cadvisor.ArgContainerdEndpoint = trimScheme(server.ContainerRuntimeEndpoint)
	deps, err := app.UnsecuredDependencies(ctx, server, utilfeature.DefaultFeatureGate)
	if err != nil {
		return fmt.Errorf("prepare kubelet: %w", err)
	}
	guard, err := newCSIGuard(deps.VolumePlugins, func(ctx context.Context) error {
		exists := func(*corev1.Node) bool { return true }
		_, err := nodewatch.Until(ctx, server.KubeConfig, server.HostnameOverride, exists)
		return err
	})
	if err != nil {
		return err
	}
	deps.VolumePlugins = append(deps.VolumePlugins, guard)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { guard.keep(ctx) })
	if err := app.Run(ctx, server, deps, utilfeature.DefaultFeatureGate); err != nil {
		return fmt.Errorf("run kubelet: %w", err)
	}
	return nil
}

// write keeps the computed configuration on disk for people to read.
func write(path string, effective *kubeletv1beta1.KubeletConfiguration) error {
	text, err := yaml.Marshal(effective)
	if err != nil {
		return fmt.Errorf("write kubelet configuration: %w", err)
	}
	text = append([]byte("# Computed by kelp at its last start, drop-ins included; changes here have no effect.\n"), text...)
	_, err = atomicfile.WriteIfChanged(path, text, 0o600)
	return err
}
