// Package docgen makes what is derived from the source of package config: the
// help texts (from the doc comments of the struct's fields) and the reference
// page docs/configuration.md. `go generate ./pkg/config` writes both, and
// config's tests fail when they are stale.
package docgen
