package cli

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/join"
)

const configFlag = "config"

// ServerFlags are --config and one flag for each setting. Each call returns
// new ones, for urfave/cli keeps what it parses in them.
func ServerFlags() []cli.Flag {
	flags := []cli.Flag{&cli.StringFlag{
		Name: configFlag, Aliases: []string{"c"}, Category: category(""),
		Usage:       "the configuration `file`; drop-ins are read from the directory of that name with .d added",
		DefaultText: config.DefaultFile,
	}}
	defaults := config.Default()
	for _, f := range config.Fields() {
		text := strings.Join(f.Strings(defaults), ",")
		usage, group := strings.TrimSuffix(f.Help, "."), category(f.Path)
		switch {
		case f.Kind == config.KindBool:
			flags = append(flags, &cli.BoolFlag{Name: f.Flag, Aliases: f.Aliases, Usage: usage, Category: group, DisableDefaultText: true})
		case f.List:
			flags = append(flags, &cli.StringSliceFlag{Name: f.Flag, Aliases: f.Aliases, Usage: usage, DefaultText: text, Category: group})
		default:
			flags = append(flags, &cli.StringFlag{Name: f.Flag, Aliases: f.Aliases, Usage: usage, DefaultText: text, Category: group})
		}
	}
	return flags
}

// category is the heading of a flag in the help: its section.
func category(path string) string {
	section, _, nested := strings.Cut(path, ".")
	if !nested {
		return "general"
	}
	return section
}

// LoadConfig builds the configuration that a command runs with: every source
// merged, completed for this machine and validated. With the error it returns
// what it had come to, so that a preview can be shown all the same.
func LoadConfig(c *cli.Context) (config.Config, config.Origins, error) {
	return buildConfig(loadOptions(c))
}

// loadOptions are the sources of a command's configuration.
func loadOptions(c *cli.Context) config.LoadOptions {
	return config.LoadOptions{File: configFile(c), Env: os.Environ(), Flags: givenFlags(c)}
}

func buildConfig(opts config.LoadOptions) (config.Config, config.Origins, error) {
	loaded, origins, err := config.Load(opts)
	if err != nil {
		return loaded, origins, &loadError{err}
	}
	// A machine that has joined has the cluster's settings, too. Whoever may not
	// read them sees the machine's own.
	cluster, known, err := join.Remembered(loaded.Paths())
	if known {
		loaded, err = loaded.WithCluster(cluster.Settings, origins)
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return loaded, origins, err
	}
	host, err := config.HostOf()
	if err != nil {
		return loaded, origins, err
	}
	completed, incomplete := loaded.Complete(host)
	origins = origins.WithMachine(loaded, completed)
	// A family of addresses that the machine lacks is often a mistake in a
	// range: say that first.
	if err := completed.Validate(origins); err != nil {
		return completed, origins, err
	}
	return completed, origins, incomplete
}

// loadError says that a source could not be read, so that what was loaded is
// not the whole.
type loadError struct{ error }

// Unwrap is what was wrong.
func (e *loadError) Unwrap() error { return e.error }

// configFile is the file that --config or its variable names.
func configFile(c *cli.Context) string {
	if file := given(c, configFlag); file != "" {
		return file
	}
	return os.Getenv(config.FileEnv)
}

// given is the value of a flag that this command or one before it was given,
// or the flag's default.
func given(c *cli.Context, name string) string {
	for _, at := range c.Lineage() {
		if at.Command != nil && slices.Contains(at.LocalFlagNames(), name) {
			return at.String(name)
		}
	}
	return c.String(name)
}

// givenFlags are the settings among the flags of this command and of those
// before it on the command line (kelp config --debug show).
func givenFlags(c *cli.Context) map[string][]string {
	settings := map[string][]string{}
	lineage := c.Lineage()
	for i := len(lineage) - 1; i >= 0; i-- {
		if lineage[i].Command == nil {
			continue // the context that holds the application, without flags
		}
		local := lineage[i].LocalFlagNames()
		for _, f := range config.Fields() {
			switch {
			case !slices.Contains(local, f.Flag):
			case f.List:
				settings[f.Flag] = lineage[i].StringSlice(f.Flag)
			case f.Kind == config.KindBool:
				settings[f.Flag] = []string{map[bool]string{true: "true", false: "false"}[lineage[i].Bool(f.Flag)]}
			default:
				settings[f.Flag] = []string{lineage[i].String(f.Flag)}
			}
		}
	}
	return settings
}

// valueOf is the value of a variable in an environment; the last one counts.
func valueOf(env []string, name string) (value string) {
	for _, pair := range env {
		if n, v, _ := strings.Cut(pair, "="); n == name {
			value = v
		}
	}
	return value
}
