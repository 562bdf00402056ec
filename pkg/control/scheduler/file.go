package scheduler

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/document"
)

// readFile reads the user's KubeSchedulerConfiguration, refuses it with all that is
// wrong with it, and returns it with what kelp must decide put into it.
func readFile(path string, set *args.Set) ([]byte, error) {
	doc, err := document.Read(path)
	if err != nil {
		return nil, set.Problem("config", err)
	}
	if errs := check(doc); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, set.Problem("config", err)
	}
	completed, err := complete(text, set)
	if err == nil {
		err = validate(completed)
	}
	if err != nil {
		return nil, fmt.Errorf("KubeSchedulerConfiguration %s: %w", path, err)
	}
	return completed, nil
}

// completeFile writes the completed KubeSchedulerConfiguration and returns the path of
// the copy.
func completeFile(path string, p config.Paths, set *args.Set) (string, error) {
	completed, err := readFile(path, set)
	if err != nil {
		return "", err
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
