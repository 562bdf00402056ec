package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kelp-project/kelp/pkg/internal/nearest"
)

// MaxFileSize bounds what is read as configuration: a thousand times what is
// needed, and far less than hurts.
const MaxFileSize = 1 << 20

// LoadOptions are the sources of a configuration. The zero value reads
// DefaultFile and nothing else.
type LoadOptions struct {
	// File is the configuration file. A file that is named must exist;
	// DefaultFile, when File is empty, need not. Its drop-ins are the *.yaml
	// and *.yml files in the directory of the same name with .d added.
	File string
	// Instead, if there is one, is read in the place of File, whose drop-ins are
	// read all the same.
	Instead *Text
	// NoFile reads no file at all.
	NoFile bool
	// Env is the environment as os.Environ has it.
	Env []string
	// Flags are the flags that were given, by name or alias, with their values.
	Flags map[string][]string
}

// Text is what a configuration file would hold.
type Text struct {
	Name string // for problems: the file that it comes from
	Data []byte
}

// Load reads the configuration from defaults, file, drop-ins, environment and
// flags, where the later ones replace what the earlier ones said; in a file,
// key+ adds to a list instead. The error holds all problems of all sources,
// each with its place. What depends on the machine is left to Complete.
func Load(opts LoadOptions) (Config, Origins, error) {
	cfg, origins := Default(), Origins{}
	var errs []error
	if !opts.NoFile {
		errs = append(errs, loadFiles(opts.File, opts.Instead, &cfg, origins))
	}
	errs = append(errs, loadEnv(opts.Env, &cfg, origins), loadFlags(opts.Flags, &cfg, origins))
	return cfg, origins, errors.Join(errs...)
}

// DropIns is the directory of a configuration file's drop-ins.
func DropIns(file string) string { return file + ".d" }

func loadFiles(file string, instead *Text, cfg *Config, origins Origins) error {
	main, named := file, file != ""
	if !named {
		main = DefaultFile
	}
	var errs []error
	if instead != nil {
		errs = append(errs, decode(instead.Name, instead.Data, cfg, origins))
	} else if err := loadFile(main, cfg, origins); named || !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	entries, err := os.ReadDir(DropIns(main))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("read drop-ins: %w", err))
	}
	for _, e := range entries { // ReadDir sorts by name
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			errs = append(errs, loadFile(filepath.Join(DropIns(main), e.Name()), cfg, origins))
		}
	}
	return errors.Join(errs...)
}

func loadFile(path string, cfg *Config, origins Origins) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > MaxFileSize {
		return fmt.Errorf("read configuration %s: not a file of at most %d bytes", path, MaxFileSize)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	return decode(path, text, cfg, origins)
}

// loadEnv reads the KELP_ variables. Unknown ones are somebody else's (a
// Service named kelp brings KELP_SERVICE_HOST into its pods), unless they look
// like a known one with a slip of the finger.
func loadEnv(environ []string, cfg *Config, origins Origins) error {
	byName := make(map[string]Field, len(fields))
	known := make([]string, 0, len(fields))
	for _, f := range fields {
		byName[f.Env] = f
		known = append(known, f.Env)
	}
	var errs []error
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "KELP_") || name == FileEnv {
			continue
		}
		f, ok := byName[name]
		if !ok {
			if n := nearest.Name(name, known); n != "" && nearest.Distance(name, n) <= 2 {
				errs = append(errs, fmt.Errorf("unknown variable %s; did you mean %s?", name, n))
			}
			continue
		}
		texts := f.split(text)
		if f.Commas {
			texts = strings.Fields(text)
		}
		errs = append(errs, f.set(cfg, origins, Origin{Env: name}, texts))
	}
	return errors.Join(errs...)
}

// FileEnv is the variable that names the configuration file, as --config does.
const FileEnv = "KELP_CONFIG"

func loadFlags(flags map[string][]string, cfg *Config, origins Origins) error {
	var errs []error
	merged := map[string][]string{} // a flag and its alias are one list
	order := []Field{}
	for _, name := range sortedKeys(flags) {
		f, ok := FieldByFlag(name)
		if !ok {
			errs = append(errs, fmt.Errorf("unknown flag --%s", name))
			continue
		}
		if _, seen := merged[f.Flag]; !seen {
			order = append(order, f)
		}
		for _, text := range flags[name] {
			merged[f.Flag] = append(merged[f.Flag], f.split(text)...)
		}
	}
	for _, f := range order {
		errs = append(errs, f.set(cfg, origins, Origin{Flag: f.Flag}, merged[f.Flag]))
	}
	return errors.Join(errs...)
}

func (f Field) set(cfg *Config, origins Origins, from Origin, texts []string) error {
	v, err := f.parseAll(texts)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	f.value(cfg).Set(v)
	origins[f.Path] = from
	origins.forget(f.Path, 0)
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
