package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/containerd/v2/version"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/kelp-project/kelp/pkg/config"
)

// dropIn is one TOML file of the user's, in any version of containerd's
// configuration that it can still read.
type dropIn struct {
	path string
	tree map[string]any
	keys []keyAt // all keys and tables, in the file's order
}

// keyAt is where a key stands in a file.
type keyAt struct {
	path []string
	line int
}

// readDropIns returns the *.toml files in dir, by name. A directory that does not
// exist has none.
func readDropIns(dir string) ([]dropIn, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read containerd drop-ins: %w", err)
	}
	var found []dropIn
	var problems []error
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != ".toml" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read containerd drop-ins: %w", err)
		}
		d, err := parseDropIn(path, data)
		problems = append(problems, err)
		found = append(found, d)
	}
	return found, errors.Join(problems...)
}

func parseDropIn(path string, data []byte) (dropIn, error) {
	d := dropIn{path: path}
	if err := toml.Unmarshal(data, &d.tree); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, _ := at.Position()
			return d, fmt.Errorf("%s:%d: not TOML: %s", path, line, strings.TrimPrefix(at.Error(), "toml: "))
		}
		return d, fmt.Errorf("%s: not TOML: %w", path, err)
	}
	var table []string
	parser := unstable.Parser{}
	parser.Reset(data)
	for parser.NextExpression() {
		node := parser.Expression()
		var path []string
		line := 0
		for key := node.Key(); key.Next(); {
			path = append(path, string(key.Node().Data))
			line = parser.Shape(key.Node().Raw).Start.Line
		}
		if node.Kind == unstable.KeyValue {
			path = slices.Concat(table, path)
		} else {
			table = path
		}
		d.keys = append(d.keys, keyAt{path, line})
	}
	return d, nil
}

// failf is an error about a key of the file, or about the nearest table above it.
func (d dropIn) failf(path []string, format string, args ...any) error {
	line := 1
	for n := len(path); n > 0 && line == 1; n-- {
		for _, k := range d.keys {
			if slices.Equal(k.path, path[:n]) {
				line = k.line
				break
			}
		}
	}
	return fmt.Errorf("%s:%d: %w", d.path, line, fmt.Errorf(format, args...))
}

// written is the key of the file whose last part is the name: settings of former
// versions are elsewhere now, and mostly have their names.
func (d dropIn) written(name string) []string {
	for _, k := range d.keys {
		if k.path[len(k.path)-1] == name {
			return k.path
		}
	}
	return nil
}

// apply puts the drop-ins over kelp's configuration, which it changes. All problems
// of all files are reported, each with file and line.
func apply(conf *srvconfig.Config, cfg config.Config, dropIns []dropIn) error {
	var problems []error
	for _, d := range dropIns {
		if errs := d.check(conf, cfg); len(errs) > 0 {
			problems = append(problems, errs...)
			continue
		}
		given, err := d.migrated()
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if errs := d.checkPlugins(given, conf); len(errs) > 0 {
			problems = append(problems, errs...)
			continue
		}
		merge(conf, given)
	}
	return errors.Join(problems...)
}

// migrated is the file as a configuration of today, by containerd's own steps from
// version to version.
func (d dropIn) migrated() (*srvconfig.Config, error) {
	out := &srvconfig.Config{
		Version: version.ConfigVersion, Plugins: map[string]any{}, Timeouts: map[string]string{},
		ProxyPlugins: map[string]srvconfig.ProxyPlugin{}, StreamProcessors: map[string]srvconfig.StreamProcessor{},
	}
	all := registrations()
	err := srvconfig.LoadConfigWithPlugins(silent(context.Background()), d.path, func() iter.Seq[plugin.Registration] { return slices.Values(all) }, out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	// Only what the file says: the CRI's part of former versions has been dealt out.
	for id, settings := range out.Plugins {
		if table, ok := settings.(map[string]any); ok && len(table) == 0 {
			delete(out.Plugins, id)
		}
	}
	return out, nil
}

// registrations are all of containerd's plugins.
func registrations() []plugin.Registration {
	return registry.Graph(func(*plugin.Registration) bool { return false })
}
