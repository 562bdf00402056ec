package containerd

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/pelletier/go-toml/v2"

	runcoptions "github.com/containerd/containerd/api/types/runc/options"

	"github.com/kelp-project/kelp/pkg/internal/nearest"
)

// checkPlugins finds keys that nothing in containerd reads. containerd itself logs
// them and goes on.
func (d dropIn) checkPlugins(given, conf *srvconfig.Config) []error {
	var errs []error
	for key := range d.tree {
		if !slices.Contains(topLevel, key) {
			errs = append(errs, d.failf([]string{key}, "containerd has no %s%s", key, didYouMean(key, topLevel)))
		}
	}
	known := map[string]any{}
	for _, r := range registrations() {
		known[r.URI()] = r.Config
	}
	for _, id := range slices.Sorted(maps.Keys(given.Plugins)) {
		at := []string{"plugins", id}
		settings, exists := known[id]
		switch {
		case !exists:
			errs = append(errs, d.failf(at, "containerd has no plugin %q%s", id, didYouMean(id, slices.Collect(maps.Keys(known)))))
		case slices.Contains(conf.DisabledPlugins, id):
			errs = append(errs, d.failf(at, "plugin %q is switched off in kelp, which has no use for it", id))
		case settings == nil || reflect.TypeOf(settings).Kind() != reflect.Pointer:
			errs = append(errs, d.failf(at, "plugin %q has no settings", id))
		default:
			errs = append(errs, d.checkSettings(id, given.Plugins[id], settings)...)
		}
	}
	return errs
}

// topLevel are the keys of a file that are not in a plugin's table, those of former
// versions included.
var topLevel = tomlNames(reflect.TypeFor[srvconfig.Config]())

// checkSettings reads a plugin's table strictly into what the plugin reads.
func (d dropIn) checkSettings(id string, table, prototype any) []error {
	text, err := toml.Marshal(table)
	if err != nil {
		return []error{fmt.Errorf("%s: %w", d.path, err)}
	}
	into := reflect.New(reflect.TypeOf(prototype).Elem()).Interface()
	err = toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(into)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		var errs []error
		for _, e := range unknown.Errors {
			key := e.Key()
			name := key[len(key)-1]
			names := tomlNames(at(reflect.TypeOf(into), key[:len(key)-1]))
			errs = append(errs, d.failf(d.written(name), "plugin %q has no setting %s%s", id, strings.Join(key, "."), didYouMean(name, names)))
		}
		return errs
	case errors.As(err, &wrong):
		key := wrong.Key()
		if len(key) == 0 {
			break
		}
		return []error{d.failf(d.written(key[len(key)-1]), "%s: %s", strings.Join(key, "."), strings.TrimPrefix(wrong.Error(), "toml: "))}
	}
	if err != nil {
		return []error{d.failf([]string{"plugins", id}, "%w", err)}
	}
	return d.checkOptions(table)
}

// checkOptions looks at the options of runtimes that have runc's shim, which are a
// table of anything to containerd.
func (d dropIn) checkOptions(table any) []error {
	settings, _ := table.(map[string]any)
	runtimes, _ := valueAt(settings, []string{"containerd", "runtimes"})
	list, _ := runtimes.(map[string]any)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(list)) {
		runtime, _ := list[name].(map[string]any)
		if kind, given := runtime["runtime_type"]; given && kind != runcShim {
			continue
		}
		options, _ := runtime["options"].(map[string]any)
		for _, option := range slices.Sorted(maps.Keys(options)) {
			if !slices.Contains(runcOptions, option) {
				errs = append(errs, d.failf(d.written(option), "runtime %s has no option %s%s", name, option, didYouMean(option, runcOptions)))
			}
		}
	}
	return errs
}

// runcOptions are the options of runc's shim.
var runcOptions = func() (names []string) {
	t := reflect.TypeFor[runcoptions.Options]()
	for i := range t.NumField() {
		if _, is := t.Field(i).Tag.Lookup("protobuf"); is {
			names = append(names, t.Field(i).Name)
		}
	}
	return names
}()

// tomlNames are the keys that a struct is read from.
func tomlNames(t reflect.Type) (names []string) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if name == "" && f.Anonymous {
			names = append(names, tomlNames(f.Type)...)
		} else if name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// at is the type of what a key holds.
func at(t reflect.Type, key []string) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if len(key) == 0 {
		return t
	}
	switch t.Kind() {
	case reflect.Map, reflect.Slice:
		return at(t.Elem(), key[1:])
	case reflect.Struct:
		for i := range t.NumField() {
			if name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ","); name == key[0] {
				return at(t.Field(i).Type, key[1:])
			}
		}
	}
	return nil
}

func didYouMean(name string, known []string) string {
	slices.Sort(known)
	if near := nearest.Name(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}
