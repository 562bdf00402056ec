package scheduler

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// completeFile writes the user's KubeSchedulerConfiguration with what kelp
// must decide put into it, and returns the path of the copy.
func completeFile(path string, p config.Paths, set *args.Set) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read KubeSchedulerConfiguration: %w", err)
	}
	completed, err := complete(text, set)
	if err != nil {
		return "", fmt.Errorf("complete KubeSchedulerConfiguration %s: %w", path, err)
	}
	copied := filepath.Join(p.RunDir, "scheduler.yaml")
	if err := os.MkdirAll(p.RunDir, 0o700); err != nil {
		return "", fmt.Errorf("make directory for %s: %w", copied, err)
	}
	if _, err := atomicfile.WriteIfChanged(copied, completed, 0o600); err != nil {
		return "", err
	}
	return copied, nil
}

// complete sets the connection to the API, and profiling unless the file
// says something about it. It works on the tree, so that fields of versions
// unknown to it stay, and upstream decides about them.
func complete(text []byte, set *args.Set) ([]byte, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	if tree == nil {
		tree = map[string]any{}
	}
	connection, _ := tree["clientConnection"].(map[string]any)
	if connection == nil {
		connection = map[string]any{}
		tree["clientConnection"] = connection
	}
	connection["kubeconfig"], _ = set.Get("kubeconfig")
	if _, said := tree["enableProfiling"]; !said {
		profiling, _ := set.Get("profiling")
		on, err := strconv.ParseBool(profiling)
		if err != nil {
			return nil, fmt.Errorf("argument profiling=%s: %w", profiling, err)
		}
		tree["enableProfiling"] = on
	}
	return yaml.Marshal(tree)
}
