// Package manifests holds the packaged components as plain YAML, one file
// each, named after the component that --disable takes. The only variables
// are the ${NAME}s that package deploy lists.
package manifests

import "embed"

// FS are the manifests.
//
//go:embed *.yaml
var FS embed.FS
