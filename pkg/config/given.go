package config

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Given renders the settings that have an origin, and no others, as a file that
// kelp reads. Unlike what package config prints, it has secrets in clear: it is
// for a file that only root may read.
func (c Config) Given(origins Origins) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fields {
		if _, given := origins[f.Path]; given {
			at, name := section(root, f.Path)
			at.Content = append(at.Content, scalar(name, KindString), f.nodeOf(f.plain(c)))
		}
	}
	if len(root.Content) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("render settings: %w", err)
	}
	return b.Bytes(), nil
}
